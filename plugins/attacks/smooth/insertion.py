"""Shared by smooth and filtered triggers: their range, and how they are inserted into an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import benchkit
from benchkit.ops.frequency import low_pass
from benchkit.ops.images import blockwise, stretched, to_images, truncated

if TYPE_CHECKING:
    from torch import Tensor


def spread(pattern: Tensor, amp: float) -> Tensor:
    """Rescale a pattern (C, H, W) to span exactly [0, amp]; a constant pattern becomes 0."""
    least, most = pattern.min(), pattern.max()
    if least == most:
        return pattern * 0
    return amp * ((pattern - least) / (most - least))


@dataclass(frozen=True)
class LowPassAttack(benchkit.Attack):
    """The base of attacks that add a low-frequency pattern: ``prepare`` returns it as ``trigger``.

    Zeng et al., ICCV 2021, section 5: the sum of image and trigger is rescaled to [0, 1] by its own minimum and maximum
    (M in equation 6). This changes and re-quantises the whole image, which detectors can see: ``control`` does the same
    without a trigger.
    """

    amp: float = benchkit.param(0.2, "largest value of the trigger; images span 0 to 1", gt=0, le=1)
    sigma: float = benchkit.param(0.0, "width of the low-pass filter, in pixels; 0: 6 for every 32 of an axis", ge=0)
    insertion: str = benchkit.param(
        "minmax", "rescale the sum to 0..1 per image, or clip it", choices=("minmax", "clip"), used_by_prepare=False
    )
    quantise: str = benchkit.param(
        "truncate",
        "cut off fractions of a grey level (as released), or round",
        choices=("truncate", "round"),
        used_by_prepare=False,
    )

    @property
    def adds_only(self) -> bool:  # type: ignore[override]
        """True if nothing is rescaled: then the clipped sum differs from the image by whole grey levels."""
        return self.insertion == "clip"

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the trigger: uint8 (N, C, H, W) -> the same."""
        return self._inserted(images, scene.prepared["trigger"].to(images.device))

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the result of ``stamp`` with a trigger of zeros: uint8 (N, C, H, W) -> the same."""
        return self._inserted(images, scene.prepared["trigger"].to(images.device) * 0)

    def _inserted(self, images: Tensor, trigger: Tensor) -> Tensor:
        def inserted(few: Tensor) -> Tensor:
            levels = few.float().div_(255).add_(trigger)  # in place: every copy takes space in the CPU cache
            levels = stretched(levels) if self.insertion == "minmax" else levels.clamp_(0, 1)
            return truncated(levels) if self.quantise == "truncate" else to_images(255 * levels)

        return blockwise(inserted, images)

    def blurred(self, pattern: Tensor) -> Tensor:
        """Return the pattern (C, H, W) after the low-pass filter g."""
        return low_pass(pattern, self.sigma or None)
