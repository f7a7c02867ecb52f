"""What the experiments share: errors in one sentence, random streams, and a CSV, a table and a plot at the end."""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import torch
from tabulate import tabulate

from benchkit import BenchkitError, Data, Scene, Source, Split
from benchkit.execute.resolve import data_root as usual_root
from benchkit.execute.resolve import model_code
from benchkit.plan.planner import plan
from benchkit.protocol import generator
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import make
from benchkit.stages.workspace import Workspace
from benchkit.store.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchkit.plan.steps import Plan

Command = TypeVar("Command", bound=Callable[..., Any])

Row = dict[str, Any]
"""One line of a table; every row of a table has the same keys."""
DPI = 120


def run(command: click.Command) -> NoReturn:
    """Run an experiment; every error that a user can cause is one sentence and exit code 2."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        fault = error.format_message()
    except BenchkitError as error:
        fault = str(error)
    except OSError as error:
        fault = f"{error.filename} cannot be read or written ({error.strerror})"
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    else:
        sys.exit(0)
    click.echo(f"error: {fault}", err=True)
    sys.exit(2)


def numbers(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, ...]:
    """Return the whole numbers above 0 of an option such as ``32,64,96``, smallest first, without repeats."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise click.BadParameter(f"'{text}' is not a list of whole numbers above 0 such as 1,2,3", ctx, param)
    return tuple(sorted({int(word) for word in words}))


def words(known: Sequence[str]) -> Any:
    """Return a callback that reads an option such as ``linear,svm`` as some of the known words."""

    def read(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
        asked = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
        if not set(asked) <= set(known):
            raise click.BadParameter(f"'{text}' is not a list of words out of {', '.join(known)}", ctx, param)
        return asked

    return read


def check_outputs(out: Path, plot: bool) -> None:
    """Refuse, before anything is computed, a folder that is not there and a plot that cannot be drawn.

    Raises:
        BenchkitError: in one sentence that says what to do.
    """
    if not out.parent.is_dir():
        raise BenchkitError(f"there is no folder {out.parent} to write {out.name} to: make it, or name another --out")
    if plot and importlib.util.find_spec("matplotlib") is None:
        raise BenchkitError("--plot needs matplotlib: pip install 'benchkit[plot]', or leave --plot out")


def of_a_run(command: Command) -> Command:
    """Add the options that say which finished ``benchkit run`` is read; ``finished`` takes them."""
    for option in (
        click.option("-p", "--plugin", "plugins", multiple=True, help="A loose plugin file."),
        click.option("--data-root", type=click.Path(path_type=Path)),
        click.option("--results", type=click.Path(path_type=Path), default=Path("benchkit-results"), show_default=True),
        click.option("--seeds", default="3", show_default=True, help="As in benchkit run."),
        click.option("--recipe", default="fast", show_default=True),
        click.option("--models", "--model", default="narrownet", show_default=True),
        click.option("--datasets", "--dataset", default="scenes", show_default=True),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Finished:
    """A run whose steps are read: what it was planned as, where its artifacts are, and the plugins."""

    plan: Plan
    workspace: Workspace
    registry: Registry


def finished(
    *, results: Path, data_root: Path | None, plugins: tuple[str, ...], population: int = 0, read: set[str],
    **asked: str,
) -> Finished:  # fmt: skip
    """Return a finished run, given the options of ``of_a_run``, its attacks and its defenses.

    Args:
        read: the stages of which no step may be missing.

    Raises:
        click.UsageError: if one is.
        BenchkitError: if there can be no such run.
    """
    registry, source, store = load(plugins), Source(usual_root(data_root)), Store(results)
    spec = make({**asked, "population": str(population), "poison_rate": "0.1", "victims": False}, registry)
    made = plan(spec, {one: one.fingerprint(source) for one in spec.sources()}, lambda name: model_code(registry, name))
    missing = [step for step in made.missing(store).values() if step.stage in read]
    if missing:
        raise click.UsageError(f"{results} lacks {len(missing)} steps: run the benchkit run that --help shows, first")
    return Finished(made, Workspace(store, registry, torch.device("cpu"), source), registry)


def loaded(dataset: Any, root: Path) -> Data:
    """Return a dataset's splits, from files that have to be there."""
    data: Data = dataset.load(Source(root))
    return data


def scene_of(clean: Split, classes: int, seed: int, *purpose: str, **more: Any) -> Scene:
    """Return what an attacker or a defender may use; its random numbers depend on seed and purpose alone."""
    channels, height, width = clean.images.shape[1:]
    rng = generator(seed, *purpose)
    return Scene(classes, (channels, height, width), torch.device("cpu"), clean, rng, **{"level": 1.0, **more})


def some(split: Split, count: int, seed: int, *purpose: str) -> Split:
    """Return ``count`` random rows of a split, or all where it has no more."""
    return split[torch.randperm(len(split), generator=generator(seed, *purpose))[:count]]


def finish(rows: Sequence[Row], out: Path) -> None:
    """Write the rows as CSV and print them."""
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({key: _short(value) for key, value in row.items()} for row in rows)
    click.echo(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".4g"))
    click.echo(f"written: {out}", err=True)


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure((width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Figure, out: Path) -> None:
    """Write a figure beside the CSV, as PNG."""
    path = out.with_suffix(".png")
    made.savefig(path, dpi=DPI)
    click.echo(f"written: {path}", err=True)
