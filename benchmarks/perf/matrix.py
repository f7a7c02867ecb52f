"""A matrix of attacks and defenses, against training a victim for every cell.

In the field's toolboxes every defense script starts from a model of its own run: a matrix of 6 x 8 trains 48 victims
where nobody shares them by hand. The reference runs each cell by itself, with a results folder that holds only the
decoded dataset and the benign victim, which it is not charged for. Both ways run the same code in this process, one
step after the other; all seconds here are CPU time, because minutes lie between a step and its counterpart.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from _inprocess import Here, asked, planned, walk
from _perf import Figure, Seconds, faster

from benchkit.plugins import Registry, load
from benchkit.steps import Plan, Step
from benchkit.store import Store

ATTACKS = "badnets,blend,troj-sq,wanet,nature,filtered"
DEFENSES = "strip,shrink-pad,freq-detector:rounds=1,fine-tuning,fine-pruning,spectral-signatures,activation-clustering"
RETRAINING = ("spectral-signatures", "activation-clustering")
"""Defenses that train a victim again, whatever is shared."""
TOY = str(Path(__file__).parents[2] / "tests" / "toy.py")
"""320 images of 12 x 12, four classes: the default recipe makes 40 passes, and a victim takes a second."""


def whole(made: Plan, root: Path) -> dict[str, float]:
    """Run a plan; return the seconds of each of its steps."""
    executor = Here(root, [TOY])
    walk(made, Store(root).open(), executor)
    return executor.seconds


def benign(step: Step) -> bool:
    """Whether a step is what all rows share: the data, or the benign victim."""
    return step.stage == "data" or (step.stage in ("poison", "train") and step.job["attack"] == "none")


def alone(made: Plan, cell: str, done: Path, root: Path) -> dict[str, float]:
    """Run one cell with a victim of its own; return the seconds of each step."""
    store = Store(root).open()
    for step in filter(benign, made.steps.values()):
        lend(Store(done), store, step)
    return whole(Plan(made.steps, [cell]), root)


def lend(source: Store, store: Store, step: Step) -> None:
    """Put a finished step into another store, as a link."""
    path = store.path(step.stage, step.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source.path(step.stage, step.key).resolve(), target_is_directory=True)


def by_stage(made: Plan, seconds: Iterable[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """Sum seconds up: how many steps each stage had, and how long they took."""
    steps, total = Counter[str](), defaultdict[str, float](float)
    for key, one in seconds:
        steps[made.steps[key].stage] += 1
        total[made.steps[key].stage] += one
    return {stage: {"steps": count, "seconds": round(total[stage], 3)} for stage, count in steps.items()}


def made_of(registry: Registry, quick: bool) -> Plan:
    """Lay the matrix out."""
    attacks, defenses = ("badnets", "shrink-pad") if quick else (ATTACKS, DEFENSES)
    recipe = "fast:epochs=1" if quick else "fast"
    return planned(asked(registry, attacks=attacks, defenses=defenses, recipe=recipe, datasets="toy"))


def compared(made: Plan, ours: Mapping[str, float], apart: Mapping[str, Mapping[str, float]], goal: float) -> Figure:
    """Compare one run of the cells in ``apart`` with runs of each."""
    needed = Plan(made.steps, list(apart)).without(set()).steps
    shared = {key: one for key, one in ours.items() if key in needed}
    rows = len({made.steps[cell].job["attack"] for cell in apart})
    stages = by_stage(made, shared.items())
    each = by_stage(made, (pair for steps in apart.values() for pair in steps.items()))
    what = f"{rows} x {len(apart) // rows}, {stages['train']['steps']} victims (one benign)"
    against = f"a victim for each cell, {each['train']['steps']} of them"
    totals = ([sum(one["seconds"] for one in found.values())] for found in (stages, each))
    taken = [Seconds(total, total) for total in totals]
    return replace(faster(what, taken[0], against, taken[1], goal), more={"ours": stages, "reference": each})


def figures(quick: bool) -> list[Figure]:
    """Measure one matrix, once: it takes minutes. The second figure leaves out the defenses that train a victim."""
    registry = load([TOY])
    made = made_of(registry, quick)
    with tempfile.TemporaryDirectory() as folder:
        whole(made_of(registry, quick=True), Path(folder, "warm"))  # timm and scikit-learn are imported once
        shared = Path(folder, "shared")
        ours = whole(made, shared)
        apart = {cell: alone(made, cell, shared, Path(folder, str(number))) for number, cell in enumerate(made.cells)}
    kept = {cell: steps for cell, steps in apart.items() if made.steps[cell].job["defense"] not in RETRAINING}
    return [compared(made, ours, cells, 5) for cells in (apart, kept)][: 1 + (len(kept) < len(apart))]
