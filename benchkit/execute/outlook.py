"""How much work a suite is, and what data it needs: it is planned, but no data is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchkit.spec.registry import Registry


@dataclass(frozen=True)
class Outlook:
    """What a suite comes to before its data is read. Components of ``all`` that will not suit the data still count.

    Attributes:
        product: the axes of its matrix, with their lengths.
        data: its datasets, those that its defenses learn from included.
        models: number of networks to train: victims, those of attackers, shadow models and populations.
        fits: number of times that a defense learns, by itself or from a victim, before it judges.
        problem: why it cannot be planned, in a sentence; the rest is then empty.
    """

    product: str = ""
    data: tuple[str, ...] = ()
    cells: int = 0
    models: int = 0
    fits: int = 0
    problem: str = ""


def outlook(suite: Path, registry: Registry) -> Outlook:
    """Return what a suite comes to, with the defaults of a CPU."""
    from benchkit.errors import BenchkitError
    from benchkit.execute.progress.summary import product
    from benchkit.execute.resolve import model_code, texts
    from benchkit.plan.planner import plan
    from benchkit.spec.spec import make
    from benchkit.spec.suite import SUITE_KEYS

    try:
        spec = make(texts({**dict.fromkeys(SUITE_KEYS), "suite": suite}, registry, on_gpu=False), registry)
        made = plan(spec, dict.fromkeys(spec.sources(), ""), lambda name: model_code(registry, name))
    except BenchkitError as error:
        return Outlook(problem=str(error))
    models = sum(step.models for step in made.steps.values())
    fits = len(made.of("prepare")) + len(made.of("fit"))
    return Outlook(product(spec), tuple(map(str, spec.sources())), len(made.cells), models, fits)
