"""GTSRB, in torchvision's layout: traffic signs of many sizes, resized to one."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from benchkit_plugins._shared.image_files import decode, text
from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset, torchvision_class

import benchkit

TRAIN, TEST, ANSWERS = "gtsrb/GTSRB/Training", "gtsrb/GTSRB/Final_Test/Images", "gtsrb/GT-final_test.csv"
SIGNS = (
    "20 km/h; 30 km/h; 50 km/h; 60 km/h; 70 km/h; 80 km/h; end of 80 km/h; 100 km/h; 120 km/h; no overtaking;"
    " no overtaking by trucks; right of way; priority road; yield; stop; no vehicles; no trucks; no entry;"
    " danger; curve left; curve right; double curve; bumpy road; slippery road; road narrows; road works;"
    " traffic signals; pedestrians; children; bicycles; snow; wild animals; end of limits; turn right;"
    " turn left; ahead only; ahead or right; ahead or left; keep right; keep left; roundabout;"
    " end of no overtaking; end of no overtaking by trucks"
)


@dataclass(frozen=True)
class Gtsrb(TorchvisionDataset):
    """43 traffic signs, 26,640 + 12,630 images as in torchvision, 3 x size x size, stretched to the square."""

    name = "gtsrb"
    paper = "Stallkamp et al., Neural Networks 2012, Man vs. Computer"
    reader = "GTSRB"

    mirror: bool = benchkit.param(
        False, "recipes may mirror training images; mirrored, eight classes show another sign, such as keep left"
    )
    size: int = benchkit.param(32, "side of the square images", ge=8)

    def parts(self) -> Parts:
        """Return the folders, and the list of labels of the test images."""
        return {TRAIN: None, TEST: None, ANSWERS: None}

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits, in the order of the file names."""
        if download:
            for part in ("train", "test"):
                torchvision_class(self.reader)(root, split=part, download=True)
        names = tuple(SIGNS.split("; "))
        train, test = _train_rows(root / TRAIN), _test_rows(root, len(names))
        return benchkit.Data(self._split(train), self._split(test), names)

    def _split(self, rows: list[tuple[str, int]]) -> benchkit.Split:
        images = decode([path for path, _ in rows], self.size)
        return benchkit.Split(images, torch.tensor([label for _, label in rows]))


def _train_rows(folder: Path) -> list[tuple[str, int]]:
    """Return (path, label) of every training image; the folders are named 00000 to 00042."""
    rows = [(str(path), int(path.parent.name)) for path in sorted(folder.glob("000[0-4][0-9]/*.ppm"))]
    if not rows:
        raise benchkit.DataError(f"{folder} has no folders 00000 to 00042 with .ppm images")
    return rows


def _test_rows(root: Path, classes: int) -> list[tuple[str, int]]:
    """Return (path, label) of every test image, in the order of the CSV of labels."""
    try:
        lines = csv.DictReader(text(root / ANSWERS).splitlines(), delimiter=";", skipinitialspace=True)
        rows = [(str(root / TEST / line["Filename"]), int(line["ClassId"])) for line in lines]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise benchkit.DataError(
            f"{root / ANSWERS} is not GTSRB's list of answers: it needs columns Filename;ClassId"
        ) from error
    if not rows or not all(0 <= label < classes for _, label in rows):
        raise benchkit.DataError(f"{root / ANSWERS} must list images with a ClassId of 0 to {classes - 1}")
    return sorted(rows)


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer GTSRB."""
    return [Gtsrb]
