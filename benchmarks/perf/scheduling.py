"""What benchkit itself costs: planning, walking a plan of steps that do nothing, and reading many results.

These goals are seconds. The reference is the least that the same job must do: one hash of each planned step, one
look at the disk for each walked step, and the JSON files read alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from _inprocess import Nothing, asked, planned, walk
from _perf import Figure, Work, bounded, turns

from benchkit.cli import cli
from benchkit.plan.steps import Plan
from benchkit.records.record import Record
from benchkit.spec.registry import load
from benchkit.spec.spec import Spec, component
from benchkit.stages.describe import describe
from benchkit.store.store import Store

METRICS = {"c_acc": 0.91, "asr": 0.97, "tpr": 0.9, "tpr_low": 0.89, "fpr": 0.05, "auroc": 0.95, "psnr": 30.0}


def spec(attacks: int, defenses: int, seeds: int) -> Spec:
    """Return a spec of so many attacks, defenses (the baseline is one of them) and seeds."""
    return asked(
        attacks=",".join(f"blend:alpha=0.{number + 100}" for number in range(attacks)),
        defenses=",".join(f"fine-tuning:clean=0.{number + 100}" for number in range(defenses - 1)),
        seeds=str(seeds),
    )


def hashed(made: Plan) -> None:
    """Hash every job of a plan."""
    for step in made.steps.values():
        hashlib.sha256(json.dumps(step.job.to_json()).encode()).hexdigest()


def looked(made: Plan, store: Store) -> None:
    """Look once for each result of a plan."""
    for step in made.steps.values():
        store.has(step.stage, step.key)


def records(made: Plan) -> Iterator[Record]:
    """Yield a made-up record for every cell."""
    registry = load()
    first = made.steps[made.cells[0]].job
    names = {part: component(getattr(first, part), f"{part}s", registry) for part in ("attack", "defense")}
    cost = {"seconds": 1.0, "peak_mb": 500.0}
    costs = dict.fromkeys(("cell", "data", "judge", "poison", "victim"), cost)
    same = replace(describe(first, names["attack"], names["defense"]), status="ok", costs=costs)
    for number, key in enumerate(made.cells):
        job = made.steps[key].job
        metrics = {name: value + number % 7 / 100 for name, value in METRICS.items()}
        named = {name: getattr(job, name) for name in ("key", "attack", "defense", "seed")}
        yield replace(same, **named, metrics=metrics)


def written(made: Plan, root: Path) -> list[Path]:
    """Write made-up records where a run would; return their files."""
    store, files = Store(root), []
    for record in records(made):
        found = record.to_json()
        path = store.record_path(found)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        files.append(path)
    return files


def parsed(files: list[Path]) -> None:
    """Read JSON files and nothing else."""
    for path in files:
        json.loads(path.read_bytes())


def walking(sizes: tuple[int, int, int], repetitions: int, most: float) -> Figure:
    """Measure the walk over a plan with an empty store; ``most`` is milliseconds a cell."""
    made = planned(spec(*sizes))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder)).open()
        works = {"ours": lambda: walk(made, store, Nothing()), "theirs": lambda: looked(made, store)}
        taken = turns(works, repetitions)
    what = f"walk {len(made.cells):,} cells of no-op steps, ms a cell"
    least = ("one look at the disk for each step", taken["theirs"])
    return bounded(what, taken["ours"], *least, scale=1000 / len(made.cells), unit="ms", most=most)


def planning(sizes: tuple[int, int, int], repetitions: int, most: float) -> Figure:
    """Measure the planning of a spec; ``most`` is seconds."""
    whole = spec(*sizes)
    made = planned(whole)
    works = {"ours": lambda: planned(whole), "theirs": lambda: hashed(made)}
    taken = turns(works, repetitions)
    what = f"plan {len(made.cells):,} cells ({len(made.steps):,} steps)"
    least = ("one SHA-256 of each step's JSON", taken["theirs"])
    return bounded(what, taken["ours"], *least, scale=1, unit="s", most=most)


def reporting(sizes: tuple[int, int, int], repetitions: int, form: str, most: float) -> Figure:
    """Measure the report over many records in one format, and how large it is."""
    made = planned(spec(*sizes))
    with tempfile.TemporaryDirectory() as folder:
        files, out = written(made, Path(folder)), Path(folder) / "report"
        command = ["report", "--results", folder, "--format", form, "--out", str(out)]
        works: dict[str, Work] = {
            "ours": functools.partial(cli, command, standalone_mode=False),
            "theirs": lambda: parsed(files),
        }
        taken = turns(works, repetitions)
        size = out.stat().st_size / 1e6
    what = f"{form} report over {len(files):,} records ({size:.1f} MB)"
    least = ("the same files through json.loads alone", taken["theirs"])
    return bounded(what, taken["ours"], *least, scale=1, unit="s", most=most)


def figures(quick: bool) -> list[Figure]:
    """Measure all of them."""
    small, large, repetitions = ((2, 3, 2), (2, 3, 4), 1) if quick else ((10, 10, 10), (25, 20, 20), 2)
    reports = [reporting(large, repetitions, form, most) for form, most in (("markdown", 3), ("html", 2))]
    return [walking(small, repetitions, most=5), planning(large, repetitions, most=2), *reports]
