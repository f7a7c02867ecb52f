"""Your own images, one folder a class: ``image-folder:root=PATH``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import benchkit

from . import _files

Listing = dict[str, list[str]]
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ImageFolder(benchkit.Dataset):
    """PATH/train/CLASS/* and PATH/test/CLASS/*, or PATH/CLASS/* with a test share taken from every class.

    Hidden files and files that are not images are passed over. Classes are numbered in the order of
    their names. Images of another size are cut to the square at their centre and resized.
    """

    name = "image-folder"
    paper = "your own images"

    root: str = benchkit.param("", "folder that holds train/ and test/, or the class folders")
    size: int = benchkit.param(32, "side of the square images", ge=8)
    channels: int = benchkit.param(3, "3 for RGB, 1 for grey", choices=(1, 3))
    test_share: float = benchkit.param(0.2, "test images per class where there is no test/", gt=0, lt=1)

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Read both splits: uint8 (N, channels, size, size).

        Raises:
            DataError: when the folder is missing or not laid out like this, or an image is damaged.
        """
        train, test = self._listings(source)
        classes = tuple(train)
        return benchkit.Data(self._split(train, classes), self._split(test, classes), classes)

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return a hash of the images' paths, sizes and mtimes."""
        listings = self._listings(source)
        paths = (path for listing in listings for group in listing.values() for path in group)
        return _files.fingerprint(self._folder(source), ((path, Path(path).stat()) for path in paths))

    def _folder(self, source: benchkit.Source) -> Path:
        if not self.root:
            raise benchkit.DataError("image-folder needs a folder: write image-folder:root=PATH")
        given = Path(self.root).expanduser()
        beneath = source.root / given
        folder = given if given.is_dir() else beneath
        if not folder.is_dir():
            places = dict.fromkeys((str(given), str(beneath)))
            raise benchkit.DataError(f"image-folder: there is no folder {' or '.join(places)}; check root=")
        return folder

    def _listings(self, source: benchkit.Source) -> tuple[Listing, Listing]:
        try:
            return self._find(self._folder(source))
        except OSError as error:
            raise benchkit.DataError(f"{error.filename} cannot be read ({error.strerror})") from error

    def _find(self, folder: Path) -> tuple[Listing, Listing]:
        parts = {part: folder / part for part in ("train", "test") if any(_folders(folder / part))}
        if not parts:
            return _share(_listing(folder), self.test_share)
        if len(parts) == 1:
            raise benchkit.DataError(f"{folder} has class folders in only one of train/ and test/; add the other")
        train, test = _listing(parts["train"]), _listing(parts["test"])
        strange = sorted(set(test) - set(train))
        if strange:
            raise benchkit.DataError(f"class '{strange[0]}' is in test/ but not in train/ of {folder}")
        return train, test

    def _split(self, listing: Listing, classes: tuple[str, ...]) -> benchkit.Split:
        rows = [(path, label) for label, name in enumerate(classes) for path in listing.get(name, [])]
        images = _files.decode([path for path, _ in rows], self.size, channels=self.channels, crop=True)
        return benchkit.Split(images, torch.tensor([label for _, label in rows]))


def _folders(folder: Path) -> Iterator[str]:
    """Yield the names of the visible folders in a folder; nothing where it is not one."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES)]
    return [f"{folder}{os.sep}{name}" for name in sorted(names) if not name.startswith(".")]


def _listing(folder: Path) -> Listing:
    """Return the sorted image paths of every class, in the order of the class names."""
    listing = {name: _images(folder / name) for name in sorted(_folders(folder))}
    if len(listing) < 2:
        found = f"only '{next(iter(listing))}'" if listing else "none"
        raise benchkit.DataError(f"{folder} must hold one folder per class, at least two: found {found}")
    for name, paths in listing.items():
        if not paths:
            raise benchkit.DataError(f"{folder / name} has no images; fill or remove it")
    return listing


def _share(listing: Listing, test_share: float) -> tuple[Listing, Listing]:
    """Split every class with a fixed seed: at least one image on each side."""
    train: Listing = {}
    test: Listing = {}
    for name, paths in listing.items():
        if len(paths) < 2:
            raise benchkit.DataError(f"class '{name}' has one image; it needs two or more to be split")
        order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(0)).tolist()
        count = min(max(round(len(paths) * test_share), 1), len(paths) - 1)
        test[name] = [paths[row] for row in sorted(order[:count])]
        train[name] = [paths[row] for row in sorted(order[count:])]
    return train, test


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer folders of images."""
    return [ImageFolder]
