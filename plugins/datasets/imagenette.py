"""Imagenette, in torchvision's layout: ten easy classes of ImageNet as photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from benchkit_plugins._shared.image_files import decode
from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, torchvision_class

import benchkit
from benchkit.ops.imagefiles import named_like_an_image

FOLDERS = {"160px": "imagenette2-160", "320px": "imagenette2-320", "full": "imagenette2"}

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""The folder of each class, its WordNet number, and its name."""


@dataclass(frozen=True)
class Imagenette(TorchvisionDataset):
    """Photographs of 10 kinds of object, 9,469 + 3,925, 3 x size x size, stretched to the square."""

    name = "imagenette"
    paper = "Howard, 2019, Imagenette, a subset of ImageNet (Deng et al., CVPR 2009)"
    reader = "Imagenette"

    archive: str = benchkit.param("160px", "published version: its shorter sides", choices=tuple(FOLDERS))
    size: int = benchkit.param(128, "side of the square images", ge=8)

    def parts(self) -> Parts:
        """Return the two folders; torchvision knows the MD5s of their archives."""
        return {f"{FOLDERS[self.archive]}/{part}": None for part in ("train", "val")}

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits, by class and name of the file."""
        if download and self._absent(root):
            torchvision_class(self.reader)(root, size=self.archive, download=True)
        home = root / FOLDERS[self.archive]
        train, test = (self._split(home / part, list(CLASSES)) for part in ("train", "val"))
        return benchkit.Data(train, test, tuple(CLASSES.values()))

    def _split(self, home: Path, folders: list[str]) -> benchkit.Split:
        rows = [
            (str(path), label)
            for label, name in enumerate(folders)
            for path in sorted((home / name).glob("*"))
            if named_like_an_image(path.name)
        ]
        missing = sorted(set(range(len(folders))) - {label for _, label in rows})
        if missing:
            raise benchkit.DataError(f"{home / folders[missing[0]]} has no images: download the archive again")
        images = decode([path for path, _ in rows], self.size)
        return benchkit.Split(images, torch.tensor([label for _, label in rows]))


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer Imagenette."""
    return [Imagenette]
