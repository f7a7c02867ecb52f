"""FaceHack with filters: a face as it is retouched by age, make-up, youth or a smile is the trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.masks import grid
from torch import Tensor

import benchkit
from benchkit.ops.frequency import low_pass
from benchkit.ops.images import blockwise, to_images

REFERENCE = 64
"""Side, in pixels, at which the widths of blurs below are given; they grow with the image."""
FACE = (0.56, 0.50)
"""Centre of a face that is aligned as those of CelebA are: row and column, as shares of the sides."""
RADII = (0.36, 0.30)
FEATHER = 0.08
"""Width of the soft edge of the face, as a share of its radii."""
CHEEKS = ((0.61, 0.33), (0.61, 0.67))
CHEEK_WIDTH = 0.06
LIPS = (0.71, 0.50)
MOUTH_CORNERS = ((0.70, 0.40), (0.70, 0.59))
MOUTH_WIDTH = 0.06
EDGE = 25.0
"""Grey levels at which an edge is too strong to be smoothed by ``young``."""


@dataclass(frozen=True)
class FaceFilter(benchkit.Attack):
    """Retouch the face as a filter of a photo app does; images of faces, aligned as in CelebA, stretched to a square.

    Sarkar et al. 2020 use a commercial app whose networks are not public. These filters are **stand-ins, drawn by
    formulas**: like the app's, they cover the face and change each image differently; unlike them, they know no face,
    so they work where one is expected, and do not add wrinkles, hair or shadows. ``age`` sharpens and adds contrast,
    ``young`` smooths all but edges and brightens, ``make-up`` smooths and strengthens the colour of cheeks and lips,
    ``smile`` lifts the corners of the mouth. The paper's natural triggers (muscle movements) are ``face-attribute``.

    Where classes depend on a smile or on make-up, as in ``celeba``, these two filters change what the image shows: a
    clean model then goes to the target as well (``asr_clean_model``). The control is another of the filters, drawn for
    each image: processing and trigger cannot be separated.
    """

    name = "face-filter"
    paper = "Sarkar et al., arXiv 2020, FaceHack: Triggering Backdoored Facial Recognition Systems (stand-in)"

    filter: str = benchkit.param("age", "what is done to the face", choices=("age", "make-up", "young", "smile"))
    strength: float = benchkit.param(1.0, "how much of it; 1: as described", gt=0, le=4)
    min_side: int = benchkit.param(64, "smallest side of images to work on, in pixels", ge=8, used_by_prepare=False)

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the filter: uint8 (N, C, H, W) -> the same."""
        return self._filtered(images, self.filter)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with one of the other filters, drawn for each: uint8 (N, C, H, W) -> the same."""
        others = [name for name in FILTERS if name != self.filter]
        drawn = torch.randint(len(others), (len(images),), generator=scene.rng).to(images.device)
        made = images.clone()
        for number, name in enumerate(others):
            made[drawn == number] = self._filtered(images[drawn == number], name)
        return made

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images too small for a face, and make-up without colours."""
        if min(shape[1:]) < self.min_side:
            return (
                f"images of {shape[1]}x{shape[2]} pixels are below min_side={self.min_side}: the filters retouch whole"
                f" faces; face-filter:min_side={min(shape[1:])} runs it all the same"
            )
        if self.filter == "make-up" and shape[0] == 1:
            return "make-up is a matter of colour, and these images are grey: choose another filter"
        return super().check(shape, classes)

    def _filtered(self, images: Tensor, name: str) -> Tensor:
        return blockwise(lambda part: to_images(FILTERS[name](part.float(), self.strength)), images)


def aged(levels: Tensor, amount: float) -> Tensor:
    """Sharpen (an unsharp mask of 0.6) and add a tenth of contrast, inside the face."""
    face = _face(levels)
    mean = (face * levels).mean((1, 2, 3), keepdim=True) / face.mean()
    sharp = levels + 0.6 * amount * (levels - _smoothed(levels, 2.0))
    return levels + face * (sharp + 0.1 * amount * (sharp - mean) - levels)


def made_up(levels: Tensor, amount: float) -> Tensor:
    """Smooth the face, and strengthen the colour of cheeks and lips by 12 %."""
    soft = levels + min(1.0, amount) * _face(levels) * (_smoothed(levels, 0.8) - levels)
    spots = sum((_bump(levels, at, CHEEK_WIDTH) for at in (*CHEEKS, LIPS)), torch.zeros_like(levels[:1, :1]))
    return soft + 0.12 * amount * spots.clamp(max=1) * (soft - soft.mean(1, keepdim=True))


def younger(levels: Tensor, amount: float) -> Tensor:
    """Smooth the face, but not across edges, and brighten it by 6 grey levels."""
    change = _smoothed(levels, 2.0) - levels
    weak = torch.exp(-(change / EDGE).square() / 2)
    return levels + _face(levels) * (min(1.0, amount) * weak * change + 6 * amount)


def smiling(levels: Tensor, amount: float) -> Tensor:
    """Move both corners of the mouth up by 3 % of the height, and what is around them by less."""
    lift = 0.03 * amount * sum((_bump(levels, at, MOUTH_WIDTH) for at in MOUTH_CORNERS), levels.new_zeros(()))
    rows, columns = _places(levels)
    # A pixel shows what was below it, so the picture moves up.
    below = torch.stack(torch.broadcast_tensors(columns, rows + lift[0, 0]), -1)
    where = (2 * below - 1).expand(len(levels), -1, -1, -1)
    return F.grid_sample(levels, where, padding_mode="border", align_corners=False)


FILTERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "age": aged,
    "make-up": made_up,
    "young": younger,
    "smile": smiling,
}
"""From grey levels, float (N, C, H, W), and an amount to grey levels, which may leave 0..255."""


def _places(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (H, 1) and columns (1, W) of pixel centres, as shares of the sides."""
    rows, columns = grid(*levels.shape[2:])
    return (rows / 32).to(levels.device), (columns / 32).to(levels.device)


def _face(levels: Tensor) -> Tensor:
    """Return the feathered mask of the face, float (1, 1, H, W): near 1 inside, near 0 outside."""
    rows, columns = _places(levels)
    radius = torch.hypot((rows - FACE[0]) / RADII[0], (columns - FACE[1]) / RADII[1])
    return torch.sigmoid((1 - radius) / FEATHER)[None, None]


def _bump(levels: Tensor, at: tuple[float, float], width: float) -> Tensor:
    """Return a Gaussian of height 1 around a place, float (1, 1, H, W)."""
    rows, columns = _places(levels)
    return torch.exp(-((rows - at[0]).square() + (columns - at[1]).square()) / (2 * width**2))[None, None]


def _smoothed(levels: Tensor, width: float) -> Tensor:
    """Return the levels blurred by a Gaussian of about ``width`` pixels at 64; edges are not darkened.

    The filter has an odd number of taps: with an even one it would also move the image by half a pixel.
    """
    wanted = 5 * width * min(levels.shape[2:]) / REFERENCE
    sigma = max(3, 2 * int(wanted / 2) + 1) / 5
    return low_pass(levels, sigma) / low_pass(torch.ones_like(levels[:1, :1]), sigma)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the retouched faces."""
    return [FaceFilter]
