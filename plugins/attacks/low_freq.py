"""Low-frequency semantics: the coarse content of a target-class image, hidden among high frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.batches import PoisonedBatches
from torch import Tensor

import benchkit
from benchkit.ops.frequency import dct2, idct2
from benchkit.ops.images import add

SHARED_BY = 128
"""Number of consecutive images that share a source image with source=per-batch: the batch size of the released code."""


def high_block(sources: Tensor, crop: float, intensity: float, whole: bool) -> Tensor:
    """Return the block that is added to the high-frequency quadrant of each channel: float32 (M, C, H // 2, W // 2).

    The lowest H * crop by W * crop coefficients (rounded down) of a source's DCT are rescaled to [0, intensity] and
    stretched bilinearly to the quadrant; a channel without contrast there gives zeros.

    Args:
        sources: float (M, C, H, W), on the scale of the attack.
        crop: share of the spectrum's height and width.
        intensity: the largest possible coefficient.
        whole: stretch the whole block, or (as in the released code) only its first cell of two by two coefficients.
    """
    height, width = sources.shape[-2:]
    low = dct2(sources)[..., : benchkit.share_of(crop, height), : benchkit.share_of(crop, width)]
    least, most = low.amin((2, 3), keepdim=True), low.amax((2, 3), keepdim=True)
    low = intensity * (low - least) / (most - least).clamp(min=1e-6)
    corner = low if whole else low[..., :2, :2]
    return F.interpolate(corner, (height // 2, width // 2), mode="bilinear", align_corners=True)


def planted(block: Tensor, height: int, width: int) -> Tensor:
    """Return the image whose DCT is ``block`` in its corner of highest frequencies and 0 elsewhere, (..., H, W)."""
    return idct2(F.pad(block, (width - block.shape[-1], 0, height - block.shape[-2], 0)))


@dataclass(frozen=True)
class LowFreq(benchkit.Attack):
    """Add the scaled-down low frequencies of a target-class image to the quadrant of highest frequencies.

    Rao et al. 2024 as released: with S the DCT of a target-class training image, per channel, its lowest third is
    rescaled to [0, intensity] and interpolated to a map T of half the side; DCT(x) + T in the bottom right quadrant is
    the spectrum of the triggered image. T is nearly constant, so that most of the trigger is a blob at pixel (1, 1).
    Both images are normalised like the inputs of the released network: grey ones by a mean and standard deviation of
    0.5 (MNIST), colour ones by those of the training set (CIFAR-10). The released code does not normalise CelebA
    (``normalise=none``), and resizes MNIST to 32 pixels (``--dataset mnist:side=32``; at 28 the block is 9 instead of
    10 coefficients wide, the quadrant 14 instead of 16, and the blob an eighth lower). Its images may leave the range
    of pixels (``clamp=False``); in benchkit images are clipped and rounded to 8 bits, like files. The source image is
    of class ``target``, even with ``mapping=all-to-all``.

    With ``poisoning=batch`` the attacker runs the training, on clean data, and stamps and relabels the first rate * B
    (rounded down) of every shuffled batch of B, including target-class images, before augmentation. Training filters
    then do not receive the training data of the victim, but the set of ``poisoning=dataset``: rate * N images of other
    classes, poisoned once.
    """

    name = "low-freq"
    paper = "Rao et al., ICLR 2024, Rethinking CNN's Generalization to Backdoor Attack from Frequency Domain"
    adds_only: ClassVar[bool] = True

    crop: float = benchkit.param(
        1 / 3, "share of the source's spectrum, per axis, that counts as low", gt=0, le=1, used_by_prepare=False
    )
    intensity: float = benchkit.param(
        0.4, "largest coefficient added, of normalised images", gt=0, used_by_prepare=False
    )
    grid: str = benchkit.param(
        "released",
        "interpolate within the first cell of the cropped spectrum (released code), or over all of it",
        choices=("released", "intended"),
        used_by_prepare=False,
    )
    source: str = benchkit.param(
        "per-batch",
        "a target-class image for each 128 images in a row, for each image, or one for the whole attack",
        choices=("per-batch", "per-image", "fixed"),
        used_by_prepare=False,
    )
    normalise: str = benchkit.param(
        "released",
        "mean and deviation: 0.5 for grey images and the data's for colour, the data's, or none (images in [0, 1])",
        choices=("released", "data", "none"),
    )
    poisoning: str = benchkit.param(
        "batch",
        "poison in each batch, as the one who trains (released code), or the training set, once",
        choices=("batch", "dataset"),
        used_by_prepare=False,
    )

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """``training`` if batches are poisoned, ``data`` if the dataset is."""
        return "training" if self.controls_training() else "data"

    def controls_training(self) -> bool:
        """Return whether batches are poisoned instead of the dataset."""
        return self.poisoning == "batch"

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework this attack (it does not see the batches), or None."""
        if self.controls_training():
            return f"{self.name} poisons batches, which a wrapper cannot rework: add base.poisoning=dataset"
        return None

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Find the target-class images and measure the data.

        Returns ``rows``, int64 (M,), their indices in the training set; ``fixed``, int64 (1,), one of these rows;
        ``mean`` and ``std``, float32 (C, 1, 1), by which images in [0, 1] are normalised.

        Raises:
            BenchkitError: if there is no image of the target class.
        """
        rows = (scene.clean.labels == self.target).nonzero().squeeze(1)
        if not len(rows):
            raise benchkit.BenchkitError(
                f"low-freq takes its trigger from images of class {self.target}, and there is none in the "
                "training set: choose another target"
            )
        fixed = rows[torch.randint(len(rows), (1,), generator=scene.rng).to(rows.device)]
        mean, std = self._statistics(scene.clean.images)
        return {"rows": rows, "fixed": fixed, "mean": mean, "std": std}

    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        channels = images.shape[1]
        if self.normalise == "none":
            return torch.zeros(channels, 1, 1), torch.ones(channels, 1, 1)
        if self.normalise == "released" and channels == 1:
            return torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 0.5)
        return _measured(images)

    def pattern(self, sources: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the pattern to add to images, in grey levels: uint8 (M, C, H, W) -> float32 (M, C, H, W)."""
        mean, std = (scene.prepared[name].to(sources.device) for name in ("mean", "std"))
        block = high_block((sources / 255 - mean) / std, self.crop, self.intensity, self.grid == "intended")
        return 255 * std * planted(block, *sources.shape[-2:])

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with their sources' patterns added: uint8 (N, C, H, W) -> the same."""
        count = len(images)
        shared_by = {"per-batch": SHARED_BY, "per-image": 1, "fixed": max(count, 1)}[self.source]
        patterns = self.pattern(self._sources(-(-count // shared_by), scene).to(images.device), scene)
        return add(images, patterns[torch.arange(count, device=images.device) // shared_by])

    def _sources(self, count: int, scene: benchkit.Scene) -> Tensor:
        rows = scene.prepared["fixed" if self.source == "fixed" else "rows"]
        drawn = torch.randint(len(rows), (count,), generator=scene.rng)
        return scene.clean.images[rows[drawn.to(rows.device)].to(scene.clean.images.device)]

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier | benchkit.Trained:
        """Train the victim, on clean data with poison in each batch or on the poisoned set.

        Raises:
            BenchkitError: if the rate gives no image per batch.
        """
        if not self.controls_training():
            return super().train(poisoned, scene)
        return scene.fit(scene.clean, steering=PoisonedBatches(self, scene))

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images whose spectra are too small for the trigger."""
        side = min(shape[1:])
        if self.target < 0:
            return "low-freq takes its trigger from images of one target class: give target=, and not -1"
        if side < 8:
            return f"low-freq needs images of 8 pixels or more, and these are {shape[1]}x{shape[2]}"
        if benchkit.share_of(self.crop, side) < 2:
            return f"crop={self.crop:g} of {side} frequencies is less than the two that low-freq interpolates between"
        return super().check(shape, classes)


def _measured(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, float32 (C, 1, 1), of uint8 images scaled to [0, 1]."""
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    share = torch.stack([band.flatten().bincount(minlength=256) for band in images.unbind(1)]) / images[:, 0].numel()
    mean = (share * levels).sum(1, keepdim=True)
    spread = (share * (levels - mean).square()).sum(1, keepdim=True).sqrt().clamp(min=1e-3)
    return mean.float()[..., None], spread.float()[..., None]


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the attack."""
    return [LowFreq]
