"""Image files of exactly one size as one tensor, and checksums of images.

Public for plugins, as :mod:`benchkit.ops.attackfiles` is, which stands on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchkit.errors import DataError
from benchkit.ops import imagefiles

DIGEST = 16
"""Bytes of the SHA-256 of an image's pixels that tell it from the others."""
THREADS = 4


def pictures(root: Path, names: Sequence[str], shape: tuple[int, int, int]) -> Tensor:
    """Return image files below a folder, given by their paths in it, as uint8 (N, C, H, W). No link is followed.

    Raises:
        DataError: naming the first one that is missing or damaged, or is not of this shape.
    """
    channels, height, width = shape
    out = np.empty((len(names), height, width, channels), np.uint8)
    for folder in {parent for name in names for parent in PurePosixPath(name).parents}:
        if folder.name and (root / folder).is_symlink():
            raise DataError(f"{root / folder} is a link: put the folder itself in its place")

    def fill(number: int) -> None:
        out[number] = _picture(root / names[number], shape)

    with imagefiles.strict(), ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(len(names))))
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()


def _picture(path: Path, shape: tuple[int, int, int]) -> Any:
    """Return one image, uint8 (H, W, C)."""
    try:
        found = imagefiles.decode(path, shape, links=False)
    except imagefiles.BadImage as error:
        raise DataError(f"{path} is not a usable image ({error}): replace it, or make the folder again") from error
    if found.size != (shape[2], shape[1]):
        raise DataError(f"{path} has {found.size[0]} x {found.size[1]} pixels, and not {shape[2]} x {shape[1]}")
    return found.pixels


def digests(images: Tensor) -> list[bytes]:
    """Return ``DIGEST`` bytes of the SHA-256 of each image's pixels, in the order (C, H, W): uint8 (N, C, H, W)."""
    pixels = images.cpu().contiguous().numpy()
    return [hashlib.sha256(one.tobytes()).digest()[:DIGEST] for one in pixels]
