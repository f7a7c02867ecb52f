"""A labelled training set of unknown origin: one folder per class, each row with the file that it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchkit.contracts.data import Split
from benchkit.errors import DataError
from benchkit.files import Passed
from benchkit.ops.imagefiles import strict
from benchkit.scan.files import pictures
from benchkit.scan.prepare import printable

if TYPE_CHECKING:
    from benchkit.scan.files import Picture

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
"""Names of folders that hold class folders, and are none."""


@dataclass
class Labelled:
    """A training set.

    Attributes:
        split: uint8 (N, C, H, W) and labels, on the CPU.
        classes: names of the class folders, in order.
        files: path of each row below the folder, unescaped.
        resized: number of images that were stretched.
        faults: files that could not be read.
        passed: skipped files.
        outside: number of images in no class folder.
    """

    split: Split
    classes: tuple[str, ...]
    files: list[str]
    resized: int
    faults: list[Picture]
    passed: Passed = field(default_factory=Passed)
    outside: int = 0

    def notes(self) -> list[str]:
        """Return sentences about what was left out or changed."""
        side = self.split.images.shape[2]
        counted = (
            (self.resized, f"of {len(self.files)} images were resized to {side}x{side}"),
            (len(self.faults), "could not be read"),
            (self.outside, "in no class folder were left out"),
        )
        parts = printable(", ".join(self.passed.parts("an image")))
        return [f"{number} {what}" for number, what in counted if number] + ([f"passed over: {parts}"] if parts else [])


def labelled(root: Path, shape: tuple[int, int, int]) -> Labelled:
    """Read the training set below a folder, every image stretched to ``shape`` (C, H, W); links are not followed.

    Raises:
        DataError: unless there are at least two classes with readable images.
    """
    passed = Passed()
    with strict():
        found = [one for some in pictures(root, shape, passed) for one in some]
    inside = [one for one in found if len(Path(one.file).parts) > 1]
    kept = [one for one in inside if one.pixels is not None]
    classes = tuple(sorted({_class(one) for one in kept}))
    _require_classes(root, classes)
    images = torch.from_numpy(np.stack([one.pixels for one in kept if one.pixels is not None]))
    labels = torch.tensor([classes.index(_class(one)) for one in kept])
    return Labelled(
        Split(images.permute(0, 3, 1, 2).contiguous(), labels),
        classes,
        [one.file for one in kept],
        sum(one.size != (shape[2], shape[1]) for one in kept),
        [one for one in inside if one.pixels is None],
        passed,
        len(found) - len(inside),
    )


def _class(picture: Picture) -> str:
    return Path(picture.file).parts[0]


def _require_classes(root: Path, classes: tuple[str, ...]) -> None:
    where = printable(str(root))
    if len(classes) < 2:
        only = f"only '{printable(classes[0])}'" if classes else "none"
        raise DataError(f"{where} must hold one folder of images per class, at least two: found {only}")
    if {name.lower() for name in classes} <= SPLITS:
        raise DataError(f"{where} holds {' and '.join(classes)}: name the folder of one of them, such as {classes[-1]}")
