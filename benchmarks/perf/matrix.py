"""A matrix of attacks and defenses, against training a victim for every cell.

In the field's toolboxes every defense script starts from a model of its own run: a matrix of 6 x 8 trains 48 victims
where nobody shares them by hand. The matrix is run once, in this process, one step after the other, on ``scenes`` with
the default recipe. What each cell would cost by itself is the sum of the steps that it needs, its victim and its
defense's training among them; the decoded dataset and the benign victim it is not charged for. All seconds are of CPU.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from _inprocess import Here, asked, planned, walk
from _perf import Figure, Seconds, faster

from benchkit.plan.steps import Plan, Step
from benchkit.spec.registry import Registry, load
from benchkit.store.store import Store

ATTACKS = "badnets,blend,troj-sq,wanet,nature,filtered"
JUDGING = "strip,shrink-pad,shrink-pad:pad=2,freq-detector:rounds=1,freq-detector:arch=linear,fine-tuning,fine-pruning"
"""Seven columns, with ``none`` eight, that all start from the victim as it is."""
RETRAINING = "spectral-signatures,activation-clustering"
"""Defenses that train a victim again, whatever is shared."""
TOY = str(Path(__file__).parents[2] / "tests" / "toy.py")


def whole(made: Plan, root: Path) -> dict[str, float]:
    """Run a plan; return the seconds of each of its steps."""
    executor = Here(root, [TOY])
    walk(made, Store(root).open(), executor)
    return executor.seconds


def benign(step: Step) -> bool:
    """Whether a step is what all rows share: the data, or the benign victim."""
    return step.stage == "data" or (step.stage in ("poison", "train") and step.job.attack == "none")


def alone(made: Plan, cell: str) -> list[str]:
    """Return the steps of one cell that is run with a victim of its own."""
    return [key for key, step in Plan(made.steps, [cell]).without(set()).steps.items() if not benign(step)]


def by_stage(made: Plan, keys: Iterable[str], seconds: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Sum seconds up: how many steps each stage had, and how long they took."""
    steps, total = Counter[str](), defaultdict[str, float](float)
    for key in keys:
        steps[made.steps[key].stage] += 1
        total[made.steps[key].stage] += seconds[key]
    return {stage: {"steps": count, "seconds": round(total[stage], 3)} for stage, count in steps.items()}


def made_of(registry: Registry, quick: bool) -> Plan:
    """Lay the matrix out."""
    attacks, defenses = ("badnets", "shrink-pad") if quick else (ATTACKS, f"{JUDGING},{RETRAINING}")
    recipe, data = ("fast:epochs=1", "toy") if quick else ("fast", "scenes")
    return planned(asked(registry, attacks=attacks, defenses=defenses, recipe=recipe, datasets=data))


def compared(made: Plan, cells: list[str], seconds: Mapping[str, float], goal: float | None) -> Figure:
    """Compare what these cells cost together with the sum of what each costs alone."""
    stages = by_stage(made, Plan(made.steps, cells).without(set()).steps, seconds)
    each = by_stage(made, (key for cell in cells for key in alone(made, cell)), seconds)
    rows = len({made.steps[cell].job.attack for cell in cells})
    what = f"{rows} x {len(cells) // rows}, {stages['train']['steps']} victims (one benign)"
    against = f"a victim for each cell, {each['train']['steps']} of them"
    totals = ([sum(one["seconds"] for one in found.values())] for found in (stages, each))
    taken = [Seconds(total, total) for total in totals]
    return replace(faster(what, taken[0], against, taken[1], goal), more={"ours": stages, "reference": each})


def figures(quick: bool) -> list[Figure]:
    """Measure one matrix, once: it takes minutes. The second figure has the defenses that train a victim as well."""
    registry = load([TOY])
    made = made_of(registry, quick)
    with tempfile.TemporaryDirectory() as folder:
        whole(made_of(registry, quick=True), Path(folder, "warm"))  # timm and scikit-learn are imported once
        seconds = whole(made, Path(folder, "shared"))
    judging = [cell for cell in made.cells if made.steps[cell].job.defense not in RETRAINING.split(",")]
    found = [compared(made, judging, seconds, 5)]
    return found if len(judging) == len(made.cells) else [*found, compared(made, made.cells, seconds, None)]
