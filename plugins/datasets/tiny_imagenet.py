"""Tiny ImageNet, in the layout of its archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from benchkit_plugins._shared.image_files import decode, text
from benchkit_plugins._shared.torchvision_sets import Parts, TorchvisionDataset

import benchkit

HOME = "tiny-imagenet-200"
URL = f"http://cs231n.stanford.edu/{HOME}.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
"""Of the archive."""
LISTED = "val_annotations.txt"


@dataclass(frozen=True)
class TinyImagenet(TorchvisionDataset):
    """Photographs of 200 kinds of thing, 100,000 + 10,000, 3 x size x size; the test split is the published val.

    Classes are numbered in the order of their WordNet numbers, and images are in the order of their files' names; test
    images in the order of their list.
    """

    name = "tiny-imagenet"
    paper = "Le and Yang, 2015, Tiny ImageNet Visual Recognition Challenge"

    size: int = benchkit.param(64, "side of the square images", ge=8)

    def parts(self) -> Parts:
        """Return the folders and lists; the MD5 that is known is that of the archive."""
        return {f"{HOME}/{part}": None for part in ("train", "val/images", f"val/{LISTED}", "wnids.txt", "words.txt")}

    def read(self, root: Path, download: bool) -> benchkit.Data:
        """Read both splits."""
        if download and self._absent(root):
            from torchvision.datasets.utils import download_and_extract_archive

            download_and_extract_archive(URL, str(root), md5=MD5)
        home = root / HOME
        numbers = sorted(text(home / "wnids.txt").split())
        words = dict(line.split("\t", 1) for line in text(home / "words.txt").splitlines() if "\t" in line)
        names = tuple(f"{words[one].split(',')[0].strip()} ({one})" if one in words else one for one in numbers)
        return benchkit.Data(self._split(_train(home, numbers)), self._split(_test(home, numbers)), names)

    def _split(self, rows: list[tuple[str, int]]) -> benchkit.Split:
        return benchkit.Split(decode([path for path, _ in rows], self.size), torch.tensor([label for _, label in rows]))


def _train(home: Path, numbers: list[str]) -> list[tuple[str, int]]:
    rows = [
        (str(path), label)
        for label, one in enumerate(numbers)
        for path in sorted((home / "train" / one / "images").glob("*.JPEG"))
    ]
    lacking = sorted(set(range(len(numbers))) - {label for _, label in rows})
    if lacking or not rows:
        what = numbers[lacking[0]] if lacking else "CLASS"
        raise benchkit.DataError(f"{home / 'train' / what / 'images'} has no .JPEG images: unpack the archive again")
    return rows


def _test(home: Path, numbers: list[str]) -> list[tuple[str, int]]:
    labels = {one: label for label, one in enumerate(numbers)}
    rows = []
    for number, line in enumerate(text(home / "val" / LISTED).splitlines(), 1):
        name, one, *_ = [*line.split("\t"), ""]
        if one not in labels or name != Path(name).name:
            raise benchkit.DataError(f"{home / 'val' / LISTED} line {number} is not an image and a class of wnids.txt")
        rows.append((str(home / "val" / "images" / name), labels[one]))
    return rows


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer Tiny ImageNet."""
    return [TinyImagenet]
