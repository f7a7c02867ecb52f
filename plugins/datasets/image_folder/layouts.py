"""Common layouts of image folders: the files of the training and test split, and the skipped ones."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from benchkit_plugins._shared import image_files

import benchkit
from benchkit import files
from benchkit.ops import imagefiles

Listing = dict[str, list[str]]
"""Sorted image paths of every class, in the order of the class names."""
TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of the test folder, in upper or lower case; the first folder with labels is the test split."""


@dataclass
class Layout:
    """The content of a folder.

    Attributes:
        train, test: images by class; ``test`` may lack some of the classes of ``train``.
        lists: files that give the classes of images.
        passed: skipped entries.
        notes: sentences about other skipped parts.
    """

    train: Listing = field(default_factory=dict)
    test: Listing = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    passed: files.Passed = field(default_factory=files.Passed)
    notes: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        """Return every file that the dataset depends on."""
        listed = [path for part in (self.train, self.test) for group in part.values() for path in group]
        return listed + self.lists

    def said(self) -> tuple[str, ...]:
        """Return sentences about what was skipped."""
        parts = ", ".join(self.passed.parts("an image"))
        return (*self.notes, *([f"passed over: {parts}"] if parts else []))


def find(folder: Path, test_share: float) -> Layout:
    """Find the images of both splits.

    Raises:
        DataError: if the layout of the folder is unknown.
        OSError: when it cannot be listed.
    """
    found = Layout()
    inside = _folders(folder, found.passed)
    trains, tests = _parts(folder, inside, TRAIN), _parts(folder, inside, TEST)
    if not trains and not tests:
        found.train, found.test = _share(_classes(folder, inside, found), test_share)
        return found
    train, test = _one_of_each(folder, trains, tests)
    beside = [name for name in inside if name not in (train, test)]
    found.notes += [f"passed over the folder {', '.join(beside)} beside {train} and {test}"] if beside else []
    found.train = _classes(folder / train, _folders(folder / train, found.passed), found)
    found.test = _tested(folder / test, found)
    strange = sorted(set(found.test) - set(found.train))
    if strange:
        raise benchkit.DataError(f"class '{strange[0]}' is in {test}/ but not in {train}/ of {folder}")
    return found


def _folders(folder: Path, passed: files.Passed) -> list[str]:
    """Return the names of the visible folders in a folder, sorted; other entries are counted.

    Raises:
        DataError: for a broken link: it may be a class, and all others would be renumbered.
        OSError: when the folder cannot be listed.
    """
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            what = files.kind(entry)
            if entry.name.startswith(".") or what == "file":
                passed.other(entry.name)
            elif what == "nowhere":
                raise benchkit.DataError(
                    f"{folder / entry.name} is a link that leads nowhere: mend or remove it, since it may stand for "
                    "a class, and without it the classes after it would have other numbers"
                )
            elif what == "folder":
                names.append(entry.name)
            else:
                passed.odd += 1
    return sorted(names)


def _parts(folder: Path, inside: list[str], names: tuple[str, ...]) -> list[str]:
    """Return the folders of one split: those with one of these names and with subfolders, in the order of the names."""
    found = [name for name in inside if name.lower() in names and _inside(folder / name)]
    return sorted(found, key=lambda name: (names.index(name.lower()), name))


def _one_of_each(folder: Path, trains: list[str], tests: list[str]) -> tuple[str, str]:
    """Return the training folder and the test folder.

    Raises:
        DataError: if one of them is missing, or there is more than one training folder.
    """
    if not trains or not tests:
        there, other = (trains or tests)[0], " or ".join(TEST if trains else TRAIN)
        raise benchkit.DataError(
            f"{folder} has class folders in {there}/ and none to go with it: add a folder with class folders that is "
            f"called {other}"
        )
    if len(trains) > 1:
        raise benchkit.DataError(f"{folder} has both {trains[0]}/ and {trains[1]}/: leave one")
    classes = set(_inside(folder / trains[0]))
    labelled = [name for name in tests if _list_of(folder / name).is_file() or classes & set(_inside(folder / name))]
    return trains[0], (labelled or tests)[0]


def _inside(folder: Path) -> list[str]:
    return _folders(folder, files.Passed())


def _list_of(part: Path) -> Path:
    """Return the list of labels of a split without class folders, as in Tiny ImageNet's ``val``."""
    return part / f"{part.name}_annotations.txt"


def _tested(part: Path, found: Layout) -> Listing:
    listed = _list_of(part)
    if not listed.is_file():
        return _classes(part, _folders(part, found.passed), found)
    found.lists.append(str(listed))
    listing: Listing = {}
    for number, line in enumerate(image_files.text(listed).splitlines(), 1):
        name, label, *_ = [*line.split("\t"), ""]
        if not label or name != os.path.basename(name) or not imagefiles.named_like_an_image(name):  # noqa: PTH119
            raise benchkit.DataError(f"{listed} line {number} is not the name of an image and a class, a tab between")
        listing.setdefault(label, []).append(str(part / "images" / name))
    return {label: sorted(listing[label]) for label in sorted(listing)}


def _classes(folder: Path, names: list[str], found: Layout) -> Listing:
    """Return the images of every class folder, including those in subfolders."""
    if len(names) < 2:
        what = f"only '{names[0]}'" if names else "none"
        raise benchkit.DataError(f"{folder} must hold one folder per class, at least two: found {what}")
    listing = {name: _images(folder / name, found.passed) for name in names}
    for name, paths in listing.items():
        if not paths:
            raise benchkit.DataError(f"{folder / name} has no images; fill or remove it")
    return listing


def _images(folder: Path, passed: files.Passed) -> list[str]:
    paths = []
    for one in files.walk(folder, imagefiles.named_like_an_image, passed):
        if one.fault:
            raise benchkit.DataError(f"{folder / one.path}: {one.fault}: mend or remove it")
        paths.append(f"{folder}{os.sep}{one.path}")
    return paths


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
