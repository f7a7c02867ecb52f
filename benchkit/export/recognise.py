"""Which layout a folder of another tool has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchkit.contracts.data import Data
from benchkit.errors import DataError
from benchkit.export import torch_files
from benchkit.export.foreign import BENCH_TEST, BENCH_TRAIN, Foreign, bench, shape_of, tested, trained
from benchkit.ops.attackfiles import ABOUT

Reader = Callable[[Path, Data, bool], Foreign]


def require_layout(folder: Path) -> None:
    """Raise DataError, in one sentence, if the folder has none of the known layouts; nothing in it is read."""
    _layout(folder)


def recognised(folder: Path, data: Data, pickled: bool) -> Foreign:
    """Read a folder in one of the known layouts.

    Args:
        folder: where it is.
        data: the dataset that it was made of.
        pickled: files of ``torch.save`` may be read, with ``weights_only=True``.

    Raises:
        DataError: in one sentence.
    """
    return _layout(folder)(folder, data, pickled)


def _layout(folder: Path) -> Reader:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    if (folder / ABOUT).exists():
        raise DataError(f"{folder} is in benchkit's own format already: run it, --attacks replay:root={folder}")
    for reader, names in LAYOUTS:
        if any(all((folder / name).exists() for name in together) for together in names):
            return reader
    raise DataError(
        f"{folder} has none of the layouts that can be imported: BackdoorBench's bd_train_dataset and bd_test_dataset, "
        "backdoor-toolbox's imgs and labels, or train/LABEL/ROW.png and stamped/ROW.png"
    )


def _bench(folder: Path, data: Data, pickled: bool) -> Foreign:
    return torch_files.told(folder, bench(folder, shape_of(data)), pickled)


def _toolbox(folder: Path, data: Data, pickled: bool) -> Foreign:
    train = torch_files.toolbox(folder, shape_of(data), pickled)
    return Foreign("backdoor-toolbox", (*train, *tested(folder, shape_of(data))))


def _plain(folder: Path, data: Data, _pickled: bool) -> Foreign:
    shape = shape_of(data)
    return Foreign("a folder of images", (*trained(folder, data, shape), *tested(folder, shape)))


LAYOUTS: tuple[tuple[Reader, tuple[tuple[str, ...], ...]], ...] = (
    (_bench, ((BENCH_TRAIN,), (BENCH_TEST,))),
    (_toolbox, (("imgs", "labels"),)),
    (_plain, (("train",),)),
)
"""The reader of each layout, and what a folder of it has: all names of any of these."""
