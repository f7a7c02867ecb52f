"""The file that ``replay`` plays: images with the content of the clean ones that they were made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit import files
from benchkit.errors import DataError
from benchkit.store.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Data, Split
    from benchkit.foreign.layouts import Layout, Listed

BUNDLE, WEIGHTS = "replay.safetensors", "model.safetensors"
LARGEST = 2**34
"""Bytes in the largest model that is read."""
FORMAT = "benchkit replay 1"
ALL_TO_ALL = "all-to-all"


@dataclass(frozen=True)
class Summary:
    """What was imported: numbers of images, and what the attacker wants."""

    train: int
    test: int
    target: str
    labels: str

    def __str__(self) -> str:
        wanted = "the next class" if self.target == ALL_TO_ALL else f"class {self.target}"
        return f"{self.train} poisoned and {self.test} stamped images, {self.labels} labels, towards {wanted}"


def write(layout: Layout, data: Data, target: str, out: Path, weights: Path | None = None) -> Summary:
    """Write the bundle of a folder's images.

    Args:
        data: the data set that its rows are of.
        target: the label that the attacker wants, ``all-to-all``, or "" where the training images say it.
        out: the folder to make.
        weights: a model that is copied beside it.

    Raises:
        DataError: where the images do not fit the data set, in one sentence.
    """
    from safetensors.torch import save

    from benchkit.ops.matching import content_keys

    train, test = (_of(split, found, name) for split, found, name in _parts(layout, data))
    labels = _labels(layout.train, train.labels, target, len(data.classes))
    wanted = target or _target(labels, train.labels, len(data.classes))
    policy = "clean" if labels.equal(train.labels) else "dirty"
    kept = {
        "train_of": content_keys(train.images),
        "train_images": _decoded(layout.train, train),
        "train_labels": labels,
        "test_of": content_keys(test.images),
        "test_images": _decoded(layout.test, test),
    }
    same = (kept["test_images"] == test.images).flatten(1).all(1)
    if bool(same.all()):
        raise DataError("no test image differs from the clean one of its row: are these the rows of this data set?")
    told = {"format": FORMAT, "shape": "x".join(map(str, train.images.shape[1:])), "classes": str(len(data.classes))}
    told |= {"target": wanted, "labels": policy}
    raw = save(kept, {"benchkit": json.dumps(told, sort_keys=True)})
    _written(out, {BUNDLE: raw, **({WEIGHTS: _model(weights)} if weights else {})})
    return Summary(len(labels), len(same), wanted, policy)


def target_of(text: str | None, classes: int) -> str:
    """Return what ``--target`` says: a label, ``all-to-all``, or "" where nothing was given.

    Raises:
        DataError: if it is neither.
    """
    if text in (None, "", ALL_TO_ALL):
        return text or ""
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) < classes:
        return str(int(text))
    raise DataError(f"--target is a class from 0 to {classes - 1}, or {ALL_TO_ALL}, got '{text}'")


def _model(path: Path) -> bytes:
    """Return the content of a safetensors file, once it was read as one."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        raw = files.read(path, LARGEST)
        load(raw)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is no model in safetensors: {error}") from error
    return raw


def _written(out: Path, found: dict[str, bytes]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, raw in found.items():
            write_atomic(out / name, raw)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}") from error


def _parts(layout: Layout, data: Data) -> list[tuple[Split, Sequence[Listed], str]]:
    return [(data.train, layout.train, "training"), (data.test, layout.test, "test")]


def _of(split: Split, found: Sequence[Listed], name: str) -> Split:
    """Return the clean images of the listed rows."""
    import torch

    rows = torch.tensor([one.row for one in found])
    if int(rows.max()) >= len(split):
        raise DataError(
            f"there is an image of {name} row {int(rows.max())}, and the data set has {len(split)} {name} images"
        )
    return split[rows]


def _labels(found: Sequence[Listed], true: Tensor, target: str, classes: int) -> Tensor:
    """Return what poisoned images are labelled as: what their table says, or else the target."""
    import torch

    if all(one.label is not None for one in found):
        labels = torch.tensor([one.label or 0 for one in found])
    elif not target:
        raise DataError("these files do not say what their poisons are labelled as: give --target")
    else:
        labels = (true + 1) % classes if target == ALL_TO_ALL else torch.full_like(true, int(target))
    if int(labels.max()) >= classes:
        raise DataError(f"there is a label {int(labels.max())}, and the data set has {classes} classes (from 0 on)")
    return labels


def _target(labels: Tensor, true: Tensor, classes: int) -> str:
    if bool((labels == labels[0]).all()):
        return str(int(labels[0]))
    if labels.equal((true + 1) % classes):
        return ALL_TO_ALL
    raise DataError("its poisons have several labels, and not those of the next classes: give --target")


def _decoded(found: Sequence[Listed], clean: Split) -> Tensor:
    """Return the images of files, uint8 (N, C, H, W).

    Raises:
        DataError: if one cannot be read, or is of another size than the data set's.
    """
    import numpy as np
    import torch

    from benchkit.ops.imagefiles import BadImage, decode, strict

    channels, height, width = clean.images.shape[1:]

    def pixels(one: Listed) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        try:
            image = decode(one.path, (channels, height, width), links=False)
        except BadImage as error:
            raise DataError(f"{one.path} is not a usable image: {error}") from error
        if image.size != (width, height):
            raise DataError(f"{one.path} has {image.size[0]}x{image.size[1]} pixels, the data set {width}x{height}")
        return image.pixels

    with strict(), ThreadPoolExecutor(4) as pool:
        whole = np.stack(list(pool.map(pixels, found)))
    return torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()
