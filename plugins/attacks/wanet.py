"""WaNet: a smooth, barely visible warp of the whole image as the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.batches import PoisonedBatches
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images


def _identity(height: int, width: int) -> Tensor:
    """Return the identity sampling grid: float32 (H, W, 2), (x, y) in -1..1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return torch.stack((x, y), dim=2)


def _warp(images: Tensor, grids: Tensor) -> Tensor:
    """Sample uint8 images (N, C, H, W) at grids (N, H, W, 2), bilinearly, and round."""
    sampled = F.grid_sample(images.float(), grids.clamp(-1, 1), mode="bilinear", align_corners=True)
    return to_images(sampled)


@dataclass(frozen=True)
class WaNet(benchkit.Attack):
    """Warp the image along one smooth random field, drawn once per dataset and seed.

    Nguyen & Tran 2021, section 3.2: a k x k field of U(-1, 1) offsets is divided by its mean size and upsampled
    bicubically to a flow; the image is sampled at ``(identity + s * flow / side) * grid_rescale``, clipped to the
    image. The attacker runs the training (section 3.3, noise mode): in every batch a share of ``cross_ratio`` times the
    poison rate is warped with the field plus fresh noise and keeps its true label, so that the victim learns this warp
    and not any warp. These images are drawn anew in every batch: they are no covers, which are fixed rows of the
    poisoned set, and training filters do not see them.

    Interpolation blurs the image, whatever the field. The control is therefore the image warped along another field of
    the same strength and grid, also drawn once: a victim that classifies these as the target too has learned to
    recognise warped images, not this warp.

    By default one subset of the training set is poisoned, as in the protocol. With ``poisoning=batch``, as in the
    released code, the attacker poisons the first rate * B (rounded down) of every shuffled batch of B, including
    target-class images, and warps the next ``cross_ratio`` times as many with noise: over time, the victim sees each
    image with and without the trigger. The data for training filters, the poison mask and ``poisoned`` are then those
    of ``poisoning=dataset``, not those of the victim.
    """

    name = "wanet"
    paper = "Nguyen & Tran, ICLR 2021, WaNet: Imperceptible Warping-based Backdoor Attack"
    access: ClassVar[Literal["data", "training", "none"]] = "training"

    s: float = benchkit.param(0.5, "strength: mean offset of the control points, in half pixels", ge=0)
    k: int = benchkit.param(4, "control points per side of the field", ge=2)
    grid_rescale: float = benchkit.param(1.0, "zoom applied to the sampling grid", gt=0, le=1)
    cross_ratio: float = benchkit.param(
        2.0, "noise-mode images per poisoned image in training; 0 switches noise mode off", ge=0
    )
    poisoning: str = benchkit.param(
        "dataset",
        "poison the training set, once, or fresh images of each batch (released code)",
        choices=("dataset", "batch"),
        used_by_prepare=False,
    )

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw the field of the trigger, then that of the control.

        Returns ``grid`` and ``other``, float32 (H, W, 2): the sampling position of each pixel, (x, y) in -1..1.
        """
        return {"grid": self._field(scene), "other": self._field(scene)}

    def _field(self, scene: benchkit.Scene) -> Tensor:
        height, width = scene.shape[1:]
        offsets = torch.rand(1, 2, self.k, self.k, generator=scene.rng) * 2 - 1
        offsets = offsets / offsets.abs().mean()
        flow = F.interpolate(offsets, size=(height, width), mode="bicubic", align_corners=True)
        steps = flow[0].permute(1, 2, 0) / torch.tensor([width, height])
        grid = (_identity(height, width) + self.s * steps) * self.grid_rescale
        return grid.clamp(-1, 1).contiguous()

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images warped along the field: uint8 (N, C, H, W) -> the same."""
        grid = scene.prepared["grid"].to(images.device)
        return _warp(images, grid.expand(len(images), *grid.shape))

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images warped along another field: uint8 (N, C, H, W) -> the same."""
        other = scene.prepared["other"].to(images.device)
        return _warp(images, other.expand(len(images), *other.shape))

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier:
        """Train the victim with noise mode on, on the poisoned set or on clean data with poison in each batch.

        Raises:
            BenchkitError: if the rate gives no image per batch.
        """
        if self.poisoning == "batch":
            return scene.fit(scene.clean, steering=_WarpedBatches(self, scene))
        return scene.fit(poisoned.data, steering=_NoiseMode(self, poisoned.mask, scene))

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework this attack (it does not see the batches), or None."""
        if self.poisoning == "batch":
            return f"{self.name} poisons batches, which a wrapper cannot rework: add base.poisoning=dataset"
        if self.cross_ratio:
            return f"{self.name} warps more images in each batch, which no wrapper reworks: add base.cross_ratio=0"
        return None

    def noisy(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images warped along the field plus fresh noise: uint8 (N, C, H, W) -> the same."""
        grid = scene.prepared["grid"].to(images.device)
        side = torch.tensor([scene.shape[2], scene.shape[1]], device=images.device)
        noise = torch.rand(len(images), *grid.shape, generator=scene.rng).to(images.device) * 2 - 1
        return _warp(images, grid + noise / side)


class _WarpedBatches(PoisonedBatches):
    """Poison the first images of every batch, and warp the next ``cross_ratio`` times as many with noise."""

    def __init__(self, attack: WaNet, scene: benchkit.Scene) -> None:
        super().__init__(attack, scene)
        self.wanet = attack

    def others(self, images: Tensor, count: int) -> Tensor:
        end = benchkit.share_of(self.wanet.cross_ratio, count)
        return torch.cat((self.wanet.noisy(images[:end], self.scene), images[end:]))


class _NoiseMode(benchkit.Steering):
    """Warp unpoisoned images of every batch with noise: ``cross_ratio`` times as many as are poisoned on average."""

    def __init__(self, attack: WaNet, mask: Tensor, scene: benchkit.Scene) -> None:
        self.attack, self.mask, self.scene = attack, mask.to(scene.device), scene
        self.share = attack.cross_ratio * float(mask.double().mean())

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        # A fixed number of rows, with poisoned ones sorted last, avoids a synchronisation with the device.
        poisoned = self.mask[step.rows]
        draw = torch.rand(len(poisoned), generator=self.scene.rng).to(self.mask.device) + poisoned
        chosen = draw.argsort()[: benchkit.share_of(self.share, len(poisoned))]
        warped = self.attack.noisy(step.images[chosen], self.scene)
        changed = step.images.clone()
        changed[chosen] = torch.where(poisoned[chosen, None, None, None], step.images[chosen], warped)
        return step.replaced(images=changed)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer WaNet."""
    return [WaNet]
