"""The options that ``run`` and ``plan`` share, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchkit.cli._complete import listed
from benchkit.errors import ContractError, DeviceError, NothingToRun, SpecError, blaming
from benchkit.schema import LARGEST_SEED
from benchkit.words import warn

if TYPE_CHECKING:
    from benchkit.api import Dataset
    from benchkit.execute.request import Request
    from benchkit.plugins import Registry
    from benchkit.scene import Source
    from benchkit.steps import Plan

F = TypeVar("F", bound=Callable[..., Any])
RESULTS = Path("benchkit-results")
CPU_DEFAULTS = {"models": "narrownet", "recipe": "fast"}
GPU_DEFAULTS = {"models": "preactresnet18", "recipe": "standard"}
DEFAULTS = {"attacks": "all", "defenses": "", "seeds": "0,", "poison_rate": "0.1", "population": "0", "victims": True}

OPTIONS = [
    click.argument("suite", required=False, type=click.Path(path_type=Path, dir_okay=False)),
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
                 help="Train victims for the no-defense column.  [default: yes]"),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, or cuda:0,cuda:1."),
    click.option("--results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, metavar="DIR",
                 help="Where records and artifacts go."),
    click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR",
                 help="Where datasets are.  [default: $BENCHKIT_DATA, else the user's cache folder]"),
    click.option("--download", is_flag=True, help="Allow datasets to be downloaded."),
    click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE",
                 help="Load a loose plugin file; may be repeated."),
]  # fmt: skip

MOST = 1024
"""Processes, or threads: more than any machine has cores for."""
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


def request(options: Mapping[str, Any], lay: Callable[..., Plan] | None = None) -> Request:
    """Turn command-line options into a planned request.

    Args:
        lay: lays the plan out; by default ``benchkit.plan.plan``, whose targets are the matrix's cells.

    Raises:
        SpecError, DataError, DeviceError, NothingToRun: each in one sentence.
    """
    from benchkit.execute.fit import fitted
    from benchkit.execute.request import Request
    from benchkit.plan import plan
    from benchkit.plugins import load
    from benchkit.scene import Source
    from benchkit.shard import shard
    from benchkit.spec import make
    from benchkit.store import Store

    part = shard(options["shard"]) if options.get("shard") is not None else None
    registry = load(options["plugins"])
    for problem in registry.problems:
        warn(f"warning: {problem}")
    set_threads(options.get("threads"))
    devices = devices_of(options["device"], options.get("elsewhere", False))
    spec = make(_texts(options, registry, on_gpu=devices[0] != "cpu"), registry)
    source = Source(data_root(options["data_root"]), options["download"])
    fingerprints = {dataset: _found(dataset, source) for dataset in spec.sources()}
    planned = (lay or plan)(spec, fingerprints, lambda name: model_code(registry, name))
    if not planned.cells:
        raise NothingToRun("nothing to run: no attack or no defense is left of what was asked for")
    files = tuple(options["plugins"])
    planned = part.of(planned) if part else planned
    # A shard is cut before anything is left out, so that every job cuts alike whatever it has decoded already.
    asked = Request(registry, spec, source, planned, Store(options["results"]), devices, files, str(part or ""))
    return fitted(asked)


def set_threads(number: int | None) -> None:
    """Let this process compute with as many threads as its workers, if a number was asked for."""
    if number:
        import torch

        torch.set_num_threads(number)


def _found(dataset: Dataset, source: Source) -> str:
    """Fetch a dataset's files, if it has to be, and return their fingerprint."""
    with blaming(f"dataset {dataset.name}"):
        dataset.fetch(source)
        found = dataset.fingerprint(source)
    if not isinstance(found, str):
        raise ContractError(f"dataset {dataset.name}: fingerprint must return text, got {type(found).__name__}")
    return found


def _texts(options: Mapping[str, Any], registry: Registry, on_gpu: bool) -> dict[str, str | bool]:
    """Merge, from weak to strong: defaults, the suite file, the command line."""
    from benchkit.suite import SUITE_KEYS, read_suite

    suite = read_suite(options["suite"]) if options["suite"] else {}
    asked = {name: options[name] for name in SUITE_KEYS}
    given = {name: value for name, value in asked.items() if value is not None}
    if not (suite or "attacks" in given or "defenses" in given):
        raise SpecError("nothing was asked for: name --attacks and --defenses, or a suite file")
    embedded = {"datasets": ",".join(name for name, one in registry.datasets.items() if one.cls.embedded)}
    return {**DEFAULTS, **embedded, **(GPU_DEFAULTS if on_gpu else CPU_DEFAULTS), **suite, **given}


def data_root(given: Path | None) -> Path:
    """Return where datasets are: the option, $BENCHKIT_DATA, or the platform's cache folder."""
    from platformdirs import user_cache_path

    if given is not None:
        return given
    named = os.environ.get("BENCHKIT_DATA")
    return Path(named) if named else user_cache_path("benchkit") / "data"


def devices_of(text: str, elsewhere: bool = False) -> list[str]:
    """Return device names (``cpu``, ``cuda:N``) for ``auto``, ``cpu``, ``cuda`` or ``cuda:0,cuda:1``.

    Args:
        text: what the user wrote.
        elsewhere: the steps run on other machines, which may have GPUs where this one has none.

    Raises:
        DeviceError: when a device is not there.
    """
    words = [word.strip() for word in text.split(",")]
    if words == ["cpu"] or (elsewhere and words == ["cuda"]):
        return words
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if words == ["auto"]:
        return [f"cuda:{index}" for index in range(count)] or ["cpu"]
    named = ["cuda:0" if word == "cuda" else word for word in words]
    for word in named:
        kind, _, index = word.partition(":")
        if kind != "cuda" or not (index.isascii() and index.isdecimal()):
            raise DeviceError(f"there is no device '{word}': use auto, cpu, cuda or cuda:0,cuda:1")
        if int(index) >= count:
            raise DeviceError(f"device {word} is not here ({count} CUDA devices were found): use --device cpu")
    return named


def model_code(registry: Registry, name: str) -> str:
    """Return the code fingerprint of the plugin that builds a model, or "" where timm does."""
    from benchkit.fingerprint import code_of

    size = {"name": name, "classes": 10, "channels": 3, "size": 32}
    for one in registry.manager.hook.benchkit_model.get_hookimpls():
        if one.function(**{argument: size[argument] for argument in one.argnames}) is not None:
            return code_of(getattr(one.plugin, "__name__", one.plugin_name))
    return ""
