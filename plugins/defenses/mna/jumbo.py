"""Jumbo learning: training sets for shadow models, half of them poisoned, each with its own random trigger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.dome import eigen_dome
from benchkit_plugins._shared.mntd import Patch, integer, share, uniform
from torch import Tensor

import benchkit
from benchkit.ops.frequency import idct2, low_pass
from benchkit.ops.images import stretched, to_images

if TYPE_CHECKING:
    Trigger = Callable[[Tensor], Tensor]
    """Stamps images: uint8 (N, C, H, W) -> a new tensor of the same shape."""

SHARE = 0.25
"""Share of each further kind of trigger beside the standard ones."""
SIGMA_STEPS = 16
"""Number of widths of the low-pass filter between the smallest and the largest; the filter caches a matrix for each."""


@dataclass(frozen=True)
class Smooth:
    """An added low-frequency pattern; each image is then rescaled to 0..1 by its own minimum and maximum.

    Attributes:
        pattern: float32 (C, H, W), spans 0 to an amplitude of 0.1..0.3.
    """

    pattern: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images with the pattern: uint8 (N, C, H, W) -> the same."""
        return to_images(255 * stretched(images / 255 + self.pattern.to(images.device)))

    @classmethod
    def drawn(cls, shape: tuple[int, ...], rng: torch.Generator) -> Smooth:
        """Draw the dome to which the smooth attack converges, in random colours, or noise after a low-pass filter.

        Both are equally likely; the filter has a width of 4 to 8 pixels per 32 pixels of the image.
        """
        channels, height, width = shape
        if integer(2, rng):
            pattern = torch.rand(channels, 1, 1, generator=rng) * eigen_dome(height, width)
        else:
            sigma = (4 + 4 * integer(SIGMA_STEPS + 1, rng) / SIGMA_STEPS) * min(height, width) / 32
            pattern = low_pass(torch.rand(shape, generator=rng), sigma)
        return cls(uniform(0.1, 0.3, rng) * stretched(pattern[None])[0])


@dataclass(frozen=True)
class HighBlock:
    """A smooth, positive map on the highest frequencies, nearly an impulse in the image's corner; added and clipped.

    Attributes:
        pattern: float32 (C, H, W), in grey levels.
    """

    pattern: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images with the pattern: uint8 (N, C, H, W) -> the same."""
        return to_images(images + self.pattern.to(images.device))

    @classmethod
    def drawn(cls, shape: tuple[int, ...], deviation: Tensor, rng: torch.Generator) -> HighBlock:
        """Draw a map for each channel, stretched from 2 x 2 values to a block in the corner of the spectrum.

        The block takes a quarter to a half of each axis; the largest coefficient, on images divided by their
        ``deviation`` ((C, 1, 1), in grey levels), is at most U(0.05, 0.6).
        """
        channels, height, width = shape
        down, across = (size // 4 + integer(size // 2 - size // 4 + 1, rng) for size in (height, width))
        corners = uniform(0.05, 0.6, rng) * torch.rand(1, channels, 2, 2, generator=rng)
        block = F.interpolate(corners, (down, across), mode="bilinear", align_corners=True)[0]
        return cls(deviation.cpu() * idct2(F.pad(block, (width - across, 0, height - down, 0))))


KINDS = ("standard", "flat", "smooth", "low-freq")


def sampler_fault(sampler: str, shape: tuple[int, int, int]) -> str | None:
    """Return why this sampler is not available for images of this shape, or None."""
    kinds = sampler.split("+")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or len(set(kinds)) < len(kinds):
        return f"jumbo={sampler} is not one or more of {', '.join(KINDS)}, each once, joined by +"
    if min(shape[1:]) < 8:
        return f"the shadow models' triggers need images of 8 pixels or more, and these are {shape[1]}x{shape[2]}"
    return None


@dataclass(frozen=True)
class Jumbo(benchkit.Shadows):
    """Even models are benign, odd ones have a backdoor, each with its own random trigger, target and poison rate.

    Xu et al.: the target is uniform; triggered copies of a share of U(0.05, 0.5) of the model's images, drawn without
    replacement and including target-class images, are *added* with the target label. ``standard`` triggers are
    :class:`Patch`; ``flat`` triggers are its small patches in one colour; ``smooth`` triggers are the upgrade of Zeng
    et al.; ``low-freq`` triggers represent those of Rao et al. Beside ``standard``, each further kind is in a quarter
    of the models; without ``standard``, all kinds are equally likely.

    Two things differ from the released code. Benign models get as many unchanged copies as a poisoned model has
    triggered ones: both kinds then train for equally many steps, so the length of the training does not reveal the
    kind. And each model draws its own images, with replacement; in the released code all models have the same images.
    """

    name = "jumbo"
    paper = "Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis"

    sampler: str = benchkit.param("standard", "kinds of triggers, joined by +: standard, flat, smooth, low-freq")
    images: int = benchkit.param(0, "clean images of each model, with replacement; 0: as many as are held", ge=0)

    def split(self, number: int, scene: benchkit.Scene) -> benchkit.Split:
        """Return the training set of one model: uint8 (N, C, H, W), int64 labels; N is the same for both kinds.

        Raises:
            DataError: if the hold-out is too small.
        """
        require_images(scene)
        clean, rng = scene.clean, scene.rng
        rows = torch.randint(len(clean), (self.images or len(clean),), generator=rng)
        own = clean[rows.to(clean.labels.device)]
        copied = torch.randperm(len(own), generator=rng)[: int(len(own) * share(rng))]
        copies = own[copied.to(own.labels.device)]
        if number % 2:
            target = integer(scene.classes, rng)
            copies = benchkit.Split(self.trigger(scene)(copies.images), torch.full_like(copies.labels, target))
        return benchkit.Split(torch.cat((own.images, copies.images)), torch.cat((own.labels, copies.labels)))

    def trigger(self, scene: benchkit.Scene) -> Trigger:
        """Draw a trigger for the images of the scene."""
        kind = self._kind(scene.rng)
        if kind == "smooth":
            return Smooth.drawn(scene.shape, scene.rng)
        if kind == "low-freq":
            return HighBlock.drawn(scene.shape, _deviation(scene.clean.images), scene.rng)
        return Patch.drawn(scene.shape, scene.rng, "jumbo" if kind == "standard" else kind)

    def _kind(self, rng: torch.Generator) -> str:
        kinds = self.sampler.split("+")
        if "standard" not in kinds:
            return kinds[integer(len(kinds), rng)]
        further = [kind for kind in kinds if kind != "standard"]
        at = int(uniform(0, 1, rng) / SHARE)
        return further[at] if at < len(further) else "standard"


def require_images(scene: benchkit.Scene) -> None:
    """Raise DataError unless there are at least two images per class."""
    if len(scene.clean) < 2 * scene.classes:
        raise benchkit.DataError(
            f"{len(scene.clean)} clean images are too few to train shadow models of {scene.classes} classes on: "
            "give the defender more of them with a larger clean="
        )


def _deviation(images: Tensor) -> Tensor:
    """Return the standard deviation of each channel in grey levels, float32 (C, 1, 1)."""
    return images.double().transpose(0, 1).flatten(1).std(1, unbiased=False).float().view(-1, 1, 1)
