"""Correctness gates of datasets, and of training sets that plugins make."""

from __future__ import annotations

from typing import Any

from benchkit.contracts.data import Data, Split
from benchkit.errors import ContractError, DataError

MIN_SIDE = 8


def data(name: str, loaded: Any) -> Data:
    """Check a dataset: two non-empty splits of one shape, uint8, labels that name classes. Raises DataError."""
    if not isinstance(loaded, Data):
        raise DataError(f"dataset {name} must return benchkit.Data, got {type(loaded).__name__}")
    if not (isinstance(loaded.notes, tuple) and all(isinstance(note, str) for note in loaded.notes)):
        raise DataError(f"dataset {name}: its notes must be a tuple of sentences, got {loaded.notes!r:.100}")
    for which, split in (("train", loaded.train), ("test", loaded.test)):
        fault = _split_fault(split, len(loaded.classes))
        if fault:
            raise DataError(f"dataset {name}: its {which} split {fault}")
    if loaded.train.images.shape[1:] != loaded.test.images.shape[1:]:
        raise DataError(f"dataset {name}: train and test images differ in shape")
    if loaded.train.attributes.keys() != loaded.test.attributes.keys():
        raise DataError(f"dataset {name}: train and test images have attributes of other names")
    return loaded


def split(what: str, returned: Any, shape: tuple[int, int, int], classes: int) -> Split:
    """Check a training set from a plugin, for images of this shape. Raises ContractError."""
    if not isinstance(returned, Split):
        raise ContractError(f"{what} must be a benchkit.Split, got {type(returned).__name__}")
    fault = _split_fault(returned, classes)
    if fault or tuple(returned.images.shape[1:]) != shape:
        raise ContractError(f"{what} {fault or 'has images of another shape'}")
    return returned


def _split_fault(split: Split, classes: int) -> str | None:
    import torch

    images = split.images
    if images.dtype != torch.uint8 or images.ndim != 4 or split.labels.dtype != torch.int64:
        return "is not uint8 images (N, C, H, W) with int64 labels"
    if len(images) != len(split) or len(split) < 2:
        return f"has {len(images)} images and {len(split)} labels: at least two of each are needed"
    if images.shape[1] not in (1, 3) or min(images.shape[2:]) < MIN_SIDE:
        shape = " x ".join(map(str, images.shape[1:]))
        return f"has images of {shape}: 1 or 3 channels and sides of at least {MIN_SIDE} pixels are needed"
    if split.labels.min() < 0 or split.labels.max() >= classes:
        return f"has labels outside 0..{classes - 1}"
    wrong = [name for name, has in split.attributes.items() if has.dtype != torch.bool or has.shape != (len(split),)]
    return f"has an attribute {wrong[0]!r} that is not bool (N,)" if wrong else None
