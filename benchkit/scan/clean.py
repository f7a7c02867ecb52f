"""The clean images of a scan: a folder that is named alone, or a dataset with its parameters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.contracts.dataset import UnlabelledFolder
from benchkit.errors import DataError, SpecError
from benchkit.params.component import fields_of
from benchkit.params.grammar import pieces, quoted
from benchkit.scan.prepare import printable
from benchkit.scan.sizes import Sizes, sizes

if TYPE_CHECKING:
    from benchkit.spec.registry import Registry

ASKED = (
    "say what clean images look like: --clean FOLDER, with images of the same origin as yours (same camera, size and "
    "file format), or --clean DATASET"
)


@dataclass(frozen=True)
class Clean:
    """The clean images that were asked for.

    Attributes:
        dataset: the dataset, as on the command line.
        sizes: the sizes of its files; None if they are not known.
        sized: whether --size changes the size at which images are compared.
        said: a sentence about a size that was chosen, or "".
    """

    dataset: str
    sizes: Sizes | None = None
    sized: bool = False
    said: str = ""


def clean_images(given: str | None, size: str | None, suspects: Path, registry: Registry) -> Clean:
    """Return the clean images of a scan of the folder ``suspects``.

    Args:
        given: a folder, or a dataset with its parameters; None if nothing was given.
        size: the sides at which images are compared, as text; None if they were not given.

    Raises:
        SpecError: in one sentence that says what to give.
    """
    if given is None:
        raise SpecError(ASKED)
    if given not in registry.datasets and (os.sep in given or Path(given).is_dir()) and ":" not in given:
        return _folder(Path(given).expanduser(), size, suspects, registry)
    return Clean(sized_dataset(given, size, registry), _sizes_of(given), "size" in _fields(given, registry))


def training_clean(given: str | None, size: str | None, suspects: Path, registry: Registry) -> tuple[str | None, int]:
    """Return the clean images for filters of the training set in ``suspects``, and the side at which it is compared.

    Args:
        given: a folder, or a dataset with its parameters; None: the filters have no clean images.
        size: the sides at which images are compared, as text; None: as the images of the training set suggest.

    Raises:
        SpecError, DataError: in one sentence.
    """
    theirs = sizes(suspects)
    if theirs is None:
        raise DataError(f"there are no readable images in {printable(str(suspects))}: nothing to scan")
    side = square(size) if size else theirs.side()
    if given is None:
        return None, side
    asked = given in registry.datasets or ":" in given
    resizable = not asked or ("size" in _fields(given, registry) and "size" not in pieces(given)[0][1])
    return clean_images(given, str(side) if size or resizable else None, suspects, registry).dataset, side


def _folder(folder: Path, size: str | None, suspects: Path, registry: Registry) -> Clean:
    if not folder.is_dir():
        raise SpecError(f"there is no folder {printable(str(folder))}: name one with clean images")
    made = [name for name, entry in registry.datasets.items() if issubclass(entry.cls, UnlabelledFolder)]
    found = sizes(folder)
    if not made or not found:
        why = "there are no readable images in it" if made else "no installed dataset reads it"
        raise SpecError(f"--clean {printable(str(folder))} cannot be used: {why}")
    theirs = sizes(suspects)
    side = square(size) if size else min(one.side() for one in (found, theirs or found))
    said = "" if size else _chosen(side, found, theirs)
    return Clean(f"{made[0]}:root={quoted(str(folder))},size={side}", found, sized=True, said=said)


def _chosen(side: int, clean: Sizes, theirs: Sizes | None) -> str:
    yours = theirs.said() if theirs else "of unknown size"
    return (
        f"images are compared at {side}x{side} (the clean ones are {clean.said()}, yours {yours}): --size changes that"
    )


def sized_dataset(given: str, size: str | None, registry: Registry) -> str:
    """Return a dataset with ``size``, if it was given, as its parameter of that name.

    Raises:
        SpecError: if the size is not square, or the dataset has no such parameter.
    """
    if size is None:
        return given
    side = square(size)
    if "size" not in _fields(given, registry):
        name = pieces(given)[0][0]
        raise SpecError(
            f"{name} has images of one size: leave --size out, or name a --clean dataset with a size parameter"
        )
    return f"{given}{',' if pieces(given)[-1][1] else ':'}size={side}"


def square(size: str) -> int:
    """Return the side in ``32`` or ``32x32``. Raises SpecError for any other text."""
    sides = size.lower().split("x")
    if not all(one.isascii() and one.isdecimal() for one in sides) or len(set(sides)) != 1 or len(sides) > 2:
        raise SpecError(f"--size must be one number or those of a square (32 or 32x32), got '{size}'")
    return int(sides[0])


def _fields(given: str, registry: Registry) -> frozenset[str]:
    return frozenset(fields_of(registry.get("datasets", pieces(given)[0][0])))


def _sizes_of(given: str) -> Sizes | None:
    """Return the sizes of the files of a dataset that names a folder as its root."""
    root = pieces(given)[0][1].get("root", "")
    return sizes(Path(root).expanduser()) if root and Path(root).expanduser().is_dir() else None
