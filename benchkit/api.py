"""benchkit from Python: what ``benchkit run`` and ``benchkit report`` do, for notebooks, scripts and tests.

Importing this module is cheap; what a run needs is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchkit.execute.request import RETRIES
from benchkit.params.component import Component
from benchkit.report.formats.results import Results

if TYPE_CHECKING:
    from benchkit.execute.request import ExecutionOptions, Request

One = str | float | Component
Value = One | Sequence[One]
"""What an option may be: text as on the command line, a number, a component such as ``BadNets(size=5)``, or a list."""
File = str | PathLike[str]
RESULTS = "benchkit-results"


def run(
    *,
    attacks: Value | None = None,
    defenses: Value | None = None,
    datasets: Value | None = None,
    models: Value | None = None,
    seeds: Value | None = None,
    poison_rate: Value | None = None,
    recipe: Value | None = None,
    population: Value | None = None,
    victims: bool | None = None,
    retune: bool | None = None,
    suite: File | None = None,
    device: str = "auto",
    results: File = RESULTS,
    data_root: File | None = None,
    download: bool = False,
    plugins: Sequence[File] = (),
    shard: str | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    slots_per_device: int | Literal["auto"] | None = None,
    timeout: float | None = None,
    retries: int = RETRIES,
    executor: Literal["local", "inline", "ray"] = "local",
    ray_address: str | None = None,
    quiet: bool = True,
) -> Results:
    """Run attacks against defenses, as ``benchkit run`` does with the options of these names.

    Everything that was computed before is taken from the results folder. A cell that fails ends nothing: it is among
    what is returned, and in its ``failed``. Messages go to standard error, as from the command line.

    Args:
        attacks: as ``--attacks``, such as ``"badnets,blend:alpha=0.3"``, or a list of such texts and of components:
            ``["badnets", Blend(alpha=0.3)]``. ``defenses``, ``datasets`` and ``models`` likewise; None: the default.
        seeds: how many (``3``), or which (``[0, 5, 7]``).
        poison_rate: one share of the training set, or a list of them.
        recipe: ``"fast"`` or ``"standard:epochs=20"``.
        population: how many models of each kind model detectors judge.
        victims: False leaves the no-defense column out.
        retune: True also retunes each repaired model with a few poisons, and measures plain fine-tuning beside it.
        suite: a TOML file with such options; those given here win.
        plugins: loose plugin files.
        quiet: False shows progress.

    Returns:
        The records of the cells that were asked for, computed now or before.

    Raises:
        BenchkitError: whatever ends the command line with an error, as one sentence.
        KeyboardInterrupt: after Ctrl-C, when the steps in flight have ended, or at once after a second one; only in the
            main thread, which alone hears of it. What was finished is kept, and the same call goes on from there.
    """
    given = dict(locals())
    from benchkit.execute.request import ExecutionOptions

    means = ExecutionOptions(**{field.name: given.pop(field.name) for field in fields(ExecutionOptions)})
    folders = {name: None if given[name] is None else Path(given[name]) for name in ("suite", "results", "data_root")}
    return _run({**given, **folders, "plugins": tuple(map(str, plugins))}, means)


def _run(options: Mapping[str, Any], means: ExecutionOptions) -> Results:
    from benchkit.execute import run as execution
    from benchkit.execute.progress.summary import summary
    from benchkit.execute.resolve import own_threads
    from benchkit.text import warn

    def begin(asked: Request) -> None:
        if not means.quiet:
            warn(summary(asked.plan, asked.store, asked.spec, asked.part))

    with own_threads():
        asked, _ = execution.run(options, means, begin)
    return Results(execution.records_of(asked))


def report(
    results: File = RESULTS,
    *,
    attacks: Value | None = None,
    defenses: Value | None = None,
    datasets: Value | None = None,
    models: Value | None = None,
    seeds: Value | None = None,
) -> Results:
    """Read the records below a results folder, whoever made them; nothing is computed.

    Args:
        results: the folder; several may be copied together.
        attacks: only these, as ``benchkit export --attacks`` reads it: a name stands for all of its variants. A list of
            texts and components may be given; None: all there are. ``defenses``, ``datasets`` and ``models`` likewise.
        seeds: how many (``3``), or which (``[0, 5, 7]``).

    Raises:
        StoreError: when there is no such folder.
        SpecError: when something that was asked for is in no record.
        NothingToRun: when no record is left.
    """
    from benchkit.report.load import read_records
    from benchkit.report.select import chosen
    from benchkit.spec.values import as_text

    given = {"attacks": attacks, "defenses": defenses, "datasets": datasets, "models": models, "seeds": seeds}
    asked = {name: None if value is None else str(as_text(name, value)) for name, value in given.items()}
    return Results(chosen(read_records(Path(results)), asked))
