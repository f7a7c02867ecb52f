"""Control: benign processing, as any camera or web site does it, in rows without a trigger."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import benchkit
from benchkit.ops.images import stretched, to_images, truncated

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL_QUALITY = 75
"""Pillow's default, and that of most software."""


@dataclass(frozen=True)
class Control(benchkit.NoAttack):
    """Process test images as harmless software does, and implant nothing, to see whether a detector reacts.

    The requested steps run in the order of the parameters; ``control`` alone is ``control:jpeg=75``, and its row has
    that name. A detector that flags these rows reacts to re-quantisation, not to triggers.
    """

    name = "control"

    jpeg: int = benchkit.param(0, "quality of a JPEG round trip, 1 to 100; 0: none", ge=0, le=100)
    resize: bool = benchkit.param(False, "resize to three quarters of each side and back, bilinearly")
    minmax: bool = benchkit.param(False, "rescale each image by its least and largest value to 0..255, truncating")
    noise: float = benchkit.param(0.0, "standard deviation of Gaussian noise, in grey levels", ge=0)

    def __post_init__(self) -> None:
        """Select the default step if none is requested."""
        if not (self.jpeg or self.resize or self.minmax or self.noise):
            object.__setattr__(self, "jpeg", USUAL_QUALITY)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images processed: uint8 (N, C, H, W) -> the same."""
        processed = _recompressed(images, self.jpeg) if self.jpeg else images.clone()
        if self.resize:
            processed = _resized(processed)
        if self.minmax:
            processed = truncated(stretched(processed / 255))
        return self._noisy(processed, scene.rng) if self.noise else processed

    def _noisy(self, images: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(images.shape, generator=rng).to(images.device)
        return to_images(images + self.noise * noise)


def _recompressed(images: Tensor, quality: int) -> Tensor:
    """Return the images after a JPEG round trip through Pillow (chroma at half resolution)."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    again = [_round_trip(image, quality) for image in pixels]
    if not again:
        return images
    return torch.from_numpy(np.stack(again)).view(pixels.shape).permute(0, 3, 1, 2).contiguous().to(images.device)


def _round_trip(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return one image (H, W, 1 or 3) after a JPEG round trip, grey ones as (H, W)."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image)


def _resized(images: Tensor) -> Tensor:
    """Return the images (N, C, H, W) after resizing to three quarters of each side and back."""
    sides = images.shape[2:]
    small = [max(1, 3 * side // 4) for side in sides]
    shrunk = F.interpolate(images.float(), small, mode="bilinear", antialias=True)
    return to_images(F.interpolate(shrunk, list(sides), mode="bilinear"))


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the processed rows."""
    return [Control]
