"""BppAttack: fewer grey levels as the trigger."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images

CARRIED = ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1))
"""Floyd and Steinberg's dithering: rows down, columns right, and sixteenths of the error carried there."""


@dataclass(frozen=True)
class BppAttack(benchkit.CoverImages):
    """Reduce every channel to ``2 ** bits`` evenly spaced grey levels; optionally dither.

    Wang, Zhai and Ma 2022: the paper's contrastive training shows the victim images with the residual (quantised minus
    original) of *another* image, under their true label, so that it learns the quantisation and not a perturbation of
    that size. These are the covers; with ``cover_rate=0`` there are none. The released code draws poisons and covers
    from each batch anew, with geometric augmentation of its own; here both are fixed rows of the training set, as in
    the protocol, so that filters see all of them.

    Quantising cannot be separated from the trigger. So the control is the image with one evenly spaced level more: a
    victim that classifies it as the target has learned that there are few levels, not which. Both have black and white,
    which they leave as they are, and no other level in common (from ``bits=5`` on some, once they are rounded).
    """

    name = "bpp"
    paper = (
        "Wang, Zhai & Ma, CVPR 2022, BppAttack: Stealthy and Efficient Trojan Attacks against Deep Neural Networks via "
        "Image Quantization and Contrastive Adversarial Learning"
    )

    bits: int = benchkit.param(3, "bits that are left of each channel (released code: 3)", ge=1, le=7)
    dither: bool = benchkit.param(False, "spread the error to neighbouring pixels (Floyd and Steinberg)")
    cover_rate: float = benchkit.param(
        0.1,
        "images with the residual of another image and their true label, as a share of the training set (released: as "
        "many as poisons, 20 %; BackdoorBench: 10 %); 0: none",
        ge=0,
        le=1,
        used_by_prepare=False,
    )

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with 2 ** bits levels from 0 to 255: uint8 (N, C, H, W) -> the same."""
        return to_images(self._quantised(images, 1 << self.bits))

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with 2 ** bits + 1 levels from 0 to 255: uint8 (N, C, H, W) -> the same."""
        return to_images(self._quantised(images, (1 << self.bits) + 1))

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Poison as usual, and add covers: clean images with the residual of another one."""
        made = super().poison(train, scene)
        rows = benchkit.cover_rows(made.mask, self.cover_rate, scene.rng)
        others = train.images[torch.randint(len(train), (len(rows),), generator=scene.rng).to(rows.device)]
        residual = self.stamp(others, scene).float() - others.float()
        return made.covering(rows, to_images(train.images[rows].float() + residual))

    def _quantised(self, images: Tensor, levels: int) -> Tensor:
        distance = 255 / (levels - 1)
        return dithered(images, distance) if self.dither else nearest(images, distance)


def nearest(levels: Tensor, distance: float) -> Tensor:
    """Return the nearest multiple of a distance: grey levels of any dtype -> float32."""
    return (levels.float() / distance).round() * distance


def dithered(images: Tensor, distance: float) -> Tensor:
    """Return multiples of a distance within 0..255, with the error of each pixel carried to those not yet visited.

    Pixels on a line with slope -1/2 do not depend on each other, so that a whole line of all images is one step.

    Args:
        images: grey levels of any dtype, (N, C, H, W).
        distance: grey levels from one level to the next; divides 255.
    """
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images.float(), (1, 1, 0, 1))
    for line in range(width + 2 * (height - 1)):
        down = torch.arange(max(0, (line - width + 2) // 2), min(height - 1, line // 2) + 1, device=images.device)
        right = line - 2 * down + 1  # the padding is one column wide
        wanted = padded[..., down, right]
        given = nearest(wanted.clamp(0, 255), distance)
        padded[..., down, right] = given
        for below, beside, share in CARRIED:
            padded[..., down + below, right + beside] += (wanted - given) * (share / 16)
    return padded[..., :height, 1:-1]


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer BppAttack."""
    return [BppAttack]
