"""What the scores of a scan are worth: whether they may be used, in one sentence that is said before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.scan.prepare import printable
from benchkit.scan.sticker import diameter

if TYPE_CHECKING:
    from benchkit.scan.clean import Clean
    from benchkit.scan.images import Scan

LEAST = 20
"""Number of images below which nothing is said about scores."""
ENOUGH = 0.5
"""Share of stickers that must come into the top, and of images that make a majority."""
OFTEN = 4
"""How many times the expected share of images may be flagged before they are called another kind."""


@dataclass(frozen=True)
class Worth:
    """Whether the scores may be used, and why (not), in one sentence."""

    usable: bool
    why: str


def worth(found: Scan, trusted: Clean) -> Worth:
    """Judge the scores of a scan: by how images became what was scored, and by what the detector does with them.

    Args:
        found: a finished scan.
        trusted: the clean images.
    """
    stretched = _stretched(found, trusted)
    if stretched:
        return _useless(f"do not use these scores: {stretched}")
    if found.sampled < LEAST:
        return _useless(f"do not rely on these scores: {found.sampled} images are too few to say what they tell")
    flagged = found.controls["as_they_are"]
    if flagged > OFTEN * max(found.allowed, 1 / found.sampled):
        return _useless(f"do not use these verdicts, at most the order: {_another_kind(found, trusted)}")
    seen = (
        f"of {found.sampled} of these images, {found.stickers:.0%} would come into the top tenth with a round sticker "
        f"of {diameter(found.shape)} pixels on them (10% by chance)"
    )
    if found.stickers < ENOUGH:
        return _useless(f"do not use these scores to find stickers: {seen}{_larger(found, trusted)}")
    return Worth(usable=True, why=f"these scores can find visible stickers: {seen}")


def _useless(why: str) -> Worth:
    return Worth(usable=False, why=why)


def _stretched(found: Scan, trusted: Clean) -> str:
    """Return what is wrong with most images if they were stretched and the clean ones were not; else ""."""
    sizes = trusted.sizes
    if found.resized <= ENOUGH * found.images or (sizes and sizes.others(found.shape) > ENOUGH * sizes.images):
        return ""
    theirs = "most of the clean ones were not" if sizes else f"{trusted.dataset} has images of that size"
    return (
        f"{found.resized} of {found.images} were resized to {sides(found.shape)}, and {printable(theirs)}; "
        f"give --clean images of the size of yours ({found.usual[0]}x{found.usual[1]})"
    )


def _another_kind(found: Scan, trusted: Clean) -> str:
    return (
        f"{found.controls['as_they_are']:.0%} of {found.sampled} of these images are flagged as they are, where "
        f"{found.allowed:.0%} of clean ones would be: they are of another kind than {printable(trusted.dataset)}, "
        "or many are manipulated; give --clean images of the same origin"
    )


def _larger(found: Scan, trusted: Clean) -> str:
    """Return advice to compare larger images, where that is possible."""
    side = min(found.usual)
    if not trusted.sized or found.resized <= ENOUGH * found.images or side <= max(found.shape[1:]):
        return ""
    return (
        f"; {found.resized} of {found.images} were resized to {sides(found.shape)}: try a larger --size, up to {side}"
    )


def sides(shape: tuple[int, int, int]) -> str:
    """Return the width and height in ``shape`` (C, H, W), in words."""
    return f"{shape[2]}x{shape[1]}"
