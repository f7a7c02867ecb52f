"""Shared access to torchvision's datasets: its layout, its checksums, and one sentence for every error.

torchvision is imported inside functions: it takes as long to import as torch, and few runs need it.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

import benchkit
from benchkit import files

from . import image_files

Parts = dict[str, str | None]
LARGEST = 2**30
"""Bytes in the largest file of such a dataset."""


def torchvision_class(name: str) -> Any:
    """Return a class of ``torchvision.datasets``."""
    return getattr(importlib.import_module("torchvision.datasets"), name)


@dataclass(frozen=True)
class TorchvisionDataset(benchkit.Dataset):
    """A dataset in torchvision's layout below ``source.root``.

    Class attributes:
        reader: the name of its class in ``torchvision.datasets``.
    """

    reader: ClassVar[str] = ""

    @abstractmethod
    def parts(self) -> Parts:
        """Return every file and folder of the dataset, relative to the root, with its MD5 or None."""

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits through torchvision; any exception counts as damage."""
        reader = torchvision_class(self.reader)
        train, test = (reader(root, train=part, download=download) for part in (True, False))
        classes = tuple(train.classes)
        return benchkit.Data(split(train.data, train.targets), split(test.data, test.targets), classes)

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Read both splits: uint8 (N, C, H, W), int64 labels; download them if ``source`` allows it.

        Raises:
            DataError: when files are missing or damaged, or cannot be downloaded.
        """
        absent = self._absent(source.root)
        if absent and not source.download:
            raise self._missing(source.root, absent)
        self._require_files(source.root)
        try:
            return self.read(source.root, source.download)
        except benchkit.DataError:
            raise
        except Exception as error:  # anything torchvision, numpy or the network may raise
            raise self._fault(source.root, error) from error

    def fetch(self, source: benchkit.Source) -> None:
        """Download missing files if ``source`` allows it (torchvision checks MD5s), otherwise refuse.

        Raises:
            DataError: when files are missing or cannot be downloaded.
        """
        if self._absent(source.root):
            self.load(source)

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return a hash of the names, sizes and mtimes of the dataset's files."""
        found = (entry for part in self.parts() for entry in image_files.walk(source.root / part))
        return image_files.fingerprint(source.root, found)

    def _absent(self, root: Path) -> list[str]:
        try:
            return [part for part in self.parts() if not (root / part).exists()]
        except OSError as error:
            raise benchkit.DataError(f"{root} cannot be read ({error.strerror}); check --data-root") from error

    def _require_files(self, root: Path) -> None:
        """Refuse missing, special and oversized files: torchvision would block on them or read them whole."""
        for path in (root / part for part in self.parts()):
            try:
                if path.exists() and not path.is_dir():
                    files.require(path, LARGEST)
            except OSError as error:
                raise benchkit.DataError(f"{path} cannot be read: {error.strerror}; replace it") from error

    def _missing(self, root: Path, absent: list[str]) -> benchkit.DataError:
        what = f"{self.name} is not in {root}"
        if len(absent) < len(self.parts()):
            what = f"{self.name} in {root} is incomplete, {absent[0]} is missing"
        return benchkit.DataError(
            f"{what}; run again with --download, or name the folder that holds it with --data-root"
        )

    def _fault(self, root: Path, error: Exception) -> benchkit.DataError:
        from torchvision.datasets.utils import check_integrity

        reason = " ".join(str(error).split()) or type(error).__name__
        absent = self._absent(root)
        if absent:
            return benchkit.DataError(f"{self.name} could not be downloaded: {root / absent[0]}: {reason}")
        known = ((root / part, md5) for part, md5 in self.parts().items() if md5)
        damaged = [path for path, md5 in known if not check_integrity(path, md5)]
        where = damaged[0] if damaged else f"{self.name} in {root}"
        what = "its MD5 is wrong" if damaged else reason
        return benchkit.DataError(f"{where} is damaged ({what}); delete it and run again with --download")


def cifar_parts(reader: Any) -> Parts:
    """Return the files of CIFAR-10 or CIFAR-100 with their MD5s, from torchvision's class."""
    known = (*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"]))
    return {f"{reader.base_folder}/{file}": md5 for file, md5 in known}


def mnist_parts(folder: str) -> Parts:
    """Return the files of MNIST and its relatives; torchvision knows only the MD5s of their archives."""
    kinds = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return {f"{folder}/raw/{kind}-ubyte": None for kind in kinds}


def split(images: Any, labels: Any) -> benchkit.Split:
    """Return a split from arrays, tensors or lists: images (N, H, W), (N, H, W, 3) or (N, 3, H, W), uint8.

    Raises:
        ValueError: if the numbers of labels and images differ.
    """
    pixels = images if isinstance(images, torch.Tensor) else torch.from_numpy(np.array(images))
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1)
    elif pixels.shape[-1] == 3:
        pixels = pixels.permute(0, 3, 1, 2).contiguous()
    targets = torch.as_tensor(labels, dtype=torch.int64)
    if len(targets) != len(pixels):
        raise ValueError(f"{len(pixels)} images have {len(targets)} labels")
    return benchkit.Split(pixels, targets)
