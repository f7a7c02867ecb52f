"""How good a victim is after how many seconds: BadNets at 10 %, the `fast` recipe, all of CIFAR-10.

Looks for $BENCHKIT_DATA/cifar10-jpeg: train/CLASS/* and test/CLASS/*. Runs only when it is named,
takes some minutes, and needs an idle machine to say anything about seconds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _inprocess import Here, asked, planned, walk
from _perf import Figure, NotHereError

from benchkit.store.store import Store

POINTS = tuple(
    (model, f"fast{how}")
    for model, hows in (
        ("narrownet", (":epochs=2", "", ":epochs=8")),
        ("narrownet_x2", ("", ":epochs=8")),
        ("airbench94", ("", ":epochs=8")),
    )
    for how in hows
)
"""Networks and recipes; by default ``fast`` makes four passes over so many images."""


def dataset() -> Path:
    """Return where the images are."""
    folder = Path(os.environ.get("BENCHKIT_DATA", "")) / "cifar10-jpeg"
    if not folder.is_dir():
        raise NotHereError(f"there are no images at {folder}: set BENCHKIT_DATA to the folder that holds cifar10-jpeg")
    return folder


def trained(model: str, recipe: str, root: Path) -> dict[str, Any]:
    """Train and judge one victim; return its record."""
    data = f"image-folder:root={dataset()}"
    spec = asked(attacks="badnets", datasets=data, models=model, recipe=recipe)
    found: list[dict[str, Any]] = []
    walk(planned(spec), Store(root).open(), Here(root), found.append)
    return found[0]


def figures(quick: bool) -> list[Figure]:
    """Train a victim for each point; the reference is the first one's training."""
    points = [("narrownet", "fast:epochs=1")] if quick else POINTS
    with tempfile.TemporaryDirectory() as folder:
        records = [trained(*point, Path(folder)) for point in points]
    return [figure(record, records[0]) for record in records]


def figure(record: Mapping[str, Any], first: Mapping[str, Any]) -> Figure:
    """Return what became of one point."""
    seconds, least = (one["costs"]["victim"]["seconds"] for one in (record, first))
    found = {name: record["metrics"][name] for name in ("c_acc", "asr")}
    what = f"{record['model']}, {record['recipe']}: C-Acc {found['c_acc']:.1%}, ASR {found['asr']:.1%}, in"
    return Figure(what, "the first of these", seconds, least, *2 * (least / seconds,), seconds, "s", more=found)
