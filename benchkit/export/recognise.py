"""Which layout a folder of another tool has."""

from __future__ import annotations

from pathlib import Path

from benchkit.contracts.data import Data
from benchkit.errors import DataError
from benchkit.export import torch_files
from benchkit.export.foreign import BENCH_TEST, BENCH_TRAIN, Foreign, bench, tested, trained
from benchkit.ops.attackfiles import ABOUT


def recognised(folder: Path, data: Data, pickled: bool) -> Foreign:
    """Read a folder in one of the known layouts.

    Args:
        folder: where it is.
        data: the dataset that it was made of.
        pickled: files of ``torch.save`` may be read, with ``weights_only=True``.

    Raises:
        DataError: in one sentence.
    """
    shape = (int(data.train.images.shape[1]), int(data.train.images.shape[2]), int(data.train.images.shape[3]))
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    if (folder / ABOUT).exists():
        raise DataError(f"{folder} is in benchkit's own format already: run it, --attacks replay:root={folder}")
    if (folder / BENCH_TRAIN).exists() or (folder / BENCH_TEST).exists():
        return torch_files.told(folder, bench(folder, shape), pickled)
    if (folder / "imgs").exists() and (folder / "labels").exists():
        train = torch_files.toolbox(folder, shape, pickled)
        return Foreign("backdoor-toolbox", (*train, *tested(folder, shape)))
    if (folder / "train").exists():
        return Foreign("a folder of images", (*trained(folder, data, shape), *tested(folder, shape)))
    raise DataError(
        f"{folder} has none of the layouts that can be imported: BackdoorBench's bd_train_dataset and bd_test_dataset, "
        "backdoor-toolbox's imgs and labels, or train/LABEL/ROW.png and stamped/ROW.png"
    )
