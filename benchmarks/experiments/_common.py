"""What the experiments share: errors in one sentence, random streams, and a CSV, a table and a plot at the end."""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import torch
from tabulate import tabulate

from benchkit import BenchkitError, Data, Scene, Source, Split
from benchkit.protocol import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
