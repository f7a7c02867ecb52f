"""The checks of datasets: types, shapes, labels, and one clear sentence if files are missing."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.contracts import data_checks
from benchkit.contracts.data import Data, Source
from benchkit.errors import DataError
from benchkit.testing.check import Check, ConformanceError, Subject, require
from benchkit.testing.common import contract_checks, made, unchanged

if TYPE_CHECKING:
    from benchkit.contracts.dataset import Dataset


@functools.lru_cache(maxsize=4)
def _loaded(dataset: Dataset, source: Source | None) -> Data:
    """Return the dataset, loaded from ``source`` or from an empty folder."""
    if source is not None:
        return data_checks.data(dataset.name, dataset.load(source))
    try:
        return data_checks.data(dataset.name, _from_nothing(dataset))
    except DataError as error:
        raise ConformanceError(
            f"{dataset.name} cannot be loaded ({error}); if it needs files, say where they are: "
            "checks(MyImages, source=benchkit.Source(folder))"
        ) from error


@functools.lru_cache(maxsize=4)
def _from_nothing(dataset: Dataset) -> Data:
    """Return what ``load`` makes of an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        return dataset.load(Source(Path(folder)))


def check_missing_files(dataset: Dataset) -> None:
    """In an empty folder and without the network, ``load`` either works or raises DataError with one sentence."""
    try:
        _from_nothing(dataset)
    except DataError as error:
        text = str(error)
        require(
            bool(text.strip()) and "\n" not in text,
            f"{dataset.name}: say in one sentence what is missing",
        )


def check_splits(dataset: Dataset, source: Source | None) -> None:
    """Both splits are uint8 (N, C, H, W) of one shape, with int64 labels that name classes."""
    _loaded(dataset, source)


def check_classes(dataset: Dataset, source: Source | None) -> None:
    """Class names are distinct, and the training split has images of every class."""
    loaded = _loaded(dataset, source)
    names = loaded.classes
    fine = isinstance(names, tuple) and all(isinstance(name, str) and name for name in names)
    require(fine and len(set(names)) == len(names), f"{dataset.name}: classes must be a tuple of distinct names")
    missing = sorted(set(range(len(names))) - set(loaded.train.labels.tolist()))
    require(not missing, f"{dataset.name}: the training split has no image of classes {missing}")


def check_load_repeats(dataset: Dataset, source: Source | None) -> None:
    """Loading twice gives the same images in the same order."""
    first = _loaded(dataset, source)
    _loaded.cache_clear()
    _from_nothing.cache_clear()
    second = _loaded(dataset, source)
    equal = unchanged(first.train, second.train) and unchanged(first.test, second.test)
    require(equal, f"{dataset.name}.load differs between two calls: fix its order and its seed")


def check_fingerprint(dataset: Dataset, source: Source | None) -> None:
    """The fingerprint is text, and does not change while the files do not change."""
    with tempfile.TemporaryDirectory() as folder:
        where = source or Source(Path(folder))
        first, second = dataset.fingerprint(where), dataset.fingerprint(where)
    fine = isinstance(first, str) and first == second
    require(fine, f"{dataset.name}.fingerprint must be text that changes only when the files do, got {first!r}")


SOURCED = (check_splits, check_classes, check_load_repeats, check_fingerprint)


def dataset_checks(subject: Subject, source: Source | None = None) -> list[Check]:
    """Return the checks of a dataset class (with default parameters) or of one component.

    Args:
        subject: the class or component.
        source: the location of its files; by default an empty folder, for datasets that render their images.
    """
    sourced = [Check(subject, function, made, (source,)) for function in SOURCED]
    return [*contract_checks(subject, (check_missing_files,)), *sourced]
