"""Options become a planned request: plugins are loaded, datasets found, devices chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.errors import ContractError, DeviceError, NothingToRun, SpecError, plugin_errors
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.contracts.data import Source
    from benchkit.contracts.dataset import Dataset
    from benchkit.execute.request import Request
    from benchkit.plan.steps import Plan
    from benchkit.spec.registry import Registry


CPU_DEFAULTS = {"models": "narrownet", "recipe": "fast"}


GPU_DEFAULTS = {"models": "preactresnet18", "recipe": "standard"}


DEFAULTS: dict[str, str | bool] = {
    "attacks": "all",
    "defenses": "",
    "seeds": "0,",
    "poison_rate": "0.1",
    "population": "0",
    "victims": True,
    "retune": False,
}


def request(options: Mapping[str, Any], lay: Callable[..., Plan] | None = None) -> Request:
    """Turn options into a planned request.

    Args:
        options: by the names of the command line. Those that a suite file may hold are as ``as_text`` takes them.
        lay: lays the plan out; by default ``benchkit.plan.planner.plan``, whose targets are the matrix's cells.

    Raises:
        SpecError, DataError, DeviceError, NothingToRun: each in one sentence.
    """
    from benchkit.contracts.data import Source
    from benchkit.execute.request import Request
    from benchkit.execute.suitability import drop_unsuitable
    from benchkit.plan.planner import plan
    from benchkit.plan.shard import shard
    from benchkit.spec.registry import load
    from benchkit.spec.spec import make
    from benchkit.store.store import Store

    part = shard(options["shard"]) if options.get("shard") is not None else None
    registry = load(options["plugins"])
    for problem in registry.problems:
        warn(f"warning: {problem}")
    set_threads(options.get("threads"))
    devices = devices_of(options["device"], options.get("elsewhere", False))
    spec = make(texts(options, registry, on_gpu=devices[0] != "cpu"), registry)
    source = Source(data_root(options["data_root"]), options["download"])
    fingerprints = {dataset: _found(dataset, source) for dataset in spec.sources()}
    planned = (lay or plan)(spec, fingerprints, lambda name: model_code(registry, name))
    if not planned.cells:
        raise NothingToRun("nothing to run: no attack or no defense is left of what was asked for")
    files = tuple(options["plugins"])
    planned = part.of(planned) if part else planned
    # A shard is cut before anything is left out, so that every job cuts alike whatever it has decoded already.
    asked = Request(registry, spec, source, planned, Store(options["results"]), devices, files, str(part or ""))
    return drop_unsuitable(asked)


def set_threads(number: int | None) -> None:
    """Let this process compute with as many threads as its workers, if a number was asked for."""
    if number:
        import torch

        torch.set_num_threads(number)


@contextmanager
def own_threads() -> Iterator[None]:
    """Give this process back, afterwards, the number of threads that it computed with."""
    from benchkit.spec.registry import require_torch

    require_torch()
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _found(dataset: Dataset, source: Source) -> str:
    """Fetch a dataset's files, if it has to be, and return their fingerprint."""
    with plugin_errors(f"dataset {dataset.name}"):
        dataset.fetch(source)
        found = dataset.fingerprint(source)
    if not isinstance(found, str):
        raise ContractError(f"dataset {dataset.name}: fingerprint must return text, got {type(found).__name__}")
    return found


def texts(options: Mapping[str, Any], registry: Registry, on_gpu: bool) -> dict[str, str | bool]:
    """Merge, from weak to strong: defaults, the suite file, what was given."""
    from benchkit.spec.shipped import located
    from benchkit.spec.suite import SUITE_KEYS, read_suite
    from benchkit.spec.values import as_text, given_components

    suite = read_suite(located(options["suite"], ".toml")) if options["suite"] else {}
    asked = {name: options[name] for name in SUITE_KEYS if options[name] is not None}
    for one in (one for value in asked.values() for one in given_components(value)):
        registry.require(one)
    given = {name: as_text(name, value) for name, value in asked.items()}
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
    from benchkit.plan.fingerprint import code_of

    asked = {"name": name, "classes": 10, "channels": 3, "height": 32, "width": 32}
    for one in registry.manager.hook.benchkit_model.get_hookimpls():
        if one.function(**{argument: asked[argument] for argument in one.argnames}) is not None:
            return code_of(getattr(one.plugin, "__name__", one.plugin_name))
    return ""
