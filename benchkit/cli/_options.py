"""The options that ``run`` and ``plan`` share, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeVar

import click

from benchkit.api import RESULTS
from benchkit.cli._complete import listed, suites
from benchkit.execute.request import MOST
from benchkit.params.grammar import LARGEST_SEED

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = [
    click.argument("suite", required=False, metavar="[SUITE]", type=click.Path(path_type=Path, dir_okay=False),
                   shell_complete=suites),
    click.option("--attacks", "--attack", metavar="LIST", shell_complete=listed("attacks"),
                 help="Such as all, badnets,blend:alpha=0.3 or all,-wanet."),
    click.option("--defenses", "--defense", metavar="LIST", shell_complete=listed("defenses"),
                 help="Likewise.  [default: none, the undefended victims]"),
    click.option("--datasets", "--dataset", metavar="LIST", shell_complete=listed("datasets"),
                 help="Likewise.  [default: the embedded one]"),
    click.option("--models", "--model", metavar="LIST", shell_complete=listed("models"),
                 help="timm names.  [default: narrownet, or preactresnet18 on a GPU]"),
    click.option("--seeds", metavar="N|LIST", help="How many (3), or which (0,5,7).  [default: seed 0]"),
    click.option("--poison-rate", metavar="LIST", help="Share of the training set poisoned.  [default: 0.1]"),
    click.option("--recipe", metavar="NAME", shell_complete=listed("recipes"),
                 help="fast or standard, with parameters.  [default: fast, or standard on a GPU]"),
    click.option("--population", metavar="N",
                 help="Judge model detectors by N backdoored and N benign models.  [default: the victims alone]"),
    click.option("--victims/--no-victims", default=None,
                 help="Train victims for the no-defense column, not only for what needs one.  [default: yes]"),
    click.option("--retune/--no-retune", default=None,
                 help="Also retune each repaired model with 5 poisons, and measure plain fine-tuning beside it.  "
                      "[default: no]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, or cuda:0,cuda:1."),
    click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, metavar="DIR",
                 help="Where records and artifacts go."),
    click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR",
                 help="Where datasets are.  [default: $BENCHKIT_DATA, else the user's cache folder]"),
    click.option("--download", is_flag=True, help="Allow datasets to be downloaded."),
    click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE",
                 help="Load a loose plugin file; may be repeated."),
]  # fmt: skip

COUNT, SEED = click.IntRange(1, MOST), click.IntRange(0, LARGEST_SEED)
threads_option = click.option(
    "--threads",
    type=COUNT,
    metavar="N",
    help="Threads of each worker process.  [default: $OMP_NUM_THREADS, else cores / workers]",
)
shard_option = click.option(
    "--shard",
    metavar="I/N",
    help="Only part I of N, from 1 on: whole victims; copy the results folders of all parts together.",
)


def shared_options(command: F) -> F:
    """Add the options that ``run`` and ``plan`` share."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def without(command: click.Command, names: Container[str]) -> click.Command:
    """Return a command, of whose options those are taken away that it does not use."""
    command.params = [option for option in command.params if option.name not in names]
    return command
