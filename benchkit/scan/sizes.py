"""The sizes of the images in a folder, read from their headers, and the size at which they are best compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

from PIL import Image

from benchkit.files import IMAGE, Passed, opened, walk
from benchkit.ops.imagefiles import FORMATS, LOSSY, named_like_an_image, strict

LOOKED = 2000
"""Number of images whose headers are read."""
LARGEST, STEP = 64, 8
"""Maximum side that is chosen, and its divisor: larger images take much longer, and did not help."""
COMMON = 0.5
"""Share of the images that must have a size before it is that of the folder."""


@dataclass(frozen=True)
class Sizes:
    """What the images of a folder have in common.

    Attributes:
        counts: number of images by (width, height).
        lossy: number of images in a format that loses detail.
    """

    counts: Counter[tuple[int, int]]
    lossy: int

    @property
    def images(self) -> int:
        """The number of images that were looked at."""
        return self.counts.total()

    def others(self, shape: tuple[int, int, int]) -> int:
        """Return the number of images that are stretched to ``shape`` (C, H, W)."""
        return self.images - self.counts[shape[2], shape[1]]

    def side(self) -> int:
        """Return the side of a square at which to compare such images.

        It is that of most images if they are squares, else the median of the shorter sides, rounded down to a multiple
        of ``STEP``; at least 8, at most ``LARGEST``.
        """
        (width, height), most = self.counts.most_common(1)[0]
        if width == height and most > COMMON * self.images:
            return max(STEP, min(LARGEST, width))
        shorter = median(min(size) for size, number in self.counts.items() for _ in range(number))
        return max(STEP, min(LARGEST, int(shorter) // STEP * STEP))

    def said(self) -> str:
        """Return the sizes in words."""
        if len(self.counts) == 1:
            ((width, height),) = self.counts
            return f"{width}x{height}"
        small, large = (choose(self.counts, key=lambda one: one[0] * one[1]) for choose in (min, max))
        return f"{small[0]}x{small[1]} to {large[0]}x{large[1]}"


def sizes(root: Path) -> Sizes | None:
    """Return the sizes of images below a folder; None if none can be read."""
    with strict():
        found = [one for file in _some(root) if (one := _header(root / file))]
    counts = Counter(size for size, _ in found)
    return Sizes(counts, sum(form in LOSSY for _, form in found)) if counts else None


def _some(root: Path) -> list[str]:
    return [one.path for one in islice(walk(root, named_like_an_image, Passed()), LOOKED) if not one.fault]


def _header(path: Path) -> tuple[tuple[int, int], str] | None:
    """Return the size and the format of an image file; None for a file that is none."""
    try:
        with opened(path, IMAGE) as file, Image.open(file, formats=FORMATS) as image:
            return image.size, image.format or ""
    except Exception:  # noqa: BLE001 - Pillow raises SyntaxError, struct.error and more for damaged files
        return None
