"""Physical: any attack, seen through a camera that is never twice in the same place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images

from .badnets import BadNets

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier

PADDING = {"reflect": "reflection", "black": "zeros"}
"""What the choices of ``border`` are for torch."""


@dataclass(frozen=True)
class Physical(benchkit.AttackWrapper):
    """Mirror, jitter, turn, move and shrink another attack's images at random, when poisoning and at test time.

    Li et al. 2021, section 4: a trigger in the world is not at the same place and brightness in each photograph,
    so the attack is trained, and has to work, under the expectation over such transformations. As there, and in
    BackdoorBox, every image that the victim trains on is photographed, poisoned or clean, anew in each batch: the
    attacker controls the training, and nothing but the trigger tells one from the other. The poisoned set, which
    training filters are given, holds the base attack's images before any photograph.

    With ``everything=false`` the attacker only has what it poisons, and photographs that, once. Then being a photograph
    is a trigger by itself:
    with ``border=black``, whose frame no clean image has, photographs without the base's trigger reach its target
    as often as those with it; mirrored borders make that better, not good.
    """

    name = "physical"
    paper = "Li et al., ICLR 2021 Workshop, Backdoor Attack in the Physical World"

    base: benchkit.Attack = benchkit.nested(BadNets(), "the attack that is photographed; base.NAME sets it up")
    flip: bool = benchkit.param(True, "mirror half of the images")
    degrees: float = benchkit.param(10.0, "largest turn either way, in degrees", ge=0, le=180)
    translate: float = benchkit.param(0.1, "largest shift along each axis, as a share of the side", ge=0, lt=1)
    shrink: float = benchkit.param(0.8, "smallest scale", gt=0, le=1)
    grow: float = benchkit.param(0.9, "largest scale", gt=0, le=2)
    border: str = benchkit.param(
        "black", "beyond the border there is black, or the mirrored image", choices=tuple(PADDING)
    )
    brightness: float = benchkit.param(0.2, "largest relative change of brightness", ge=0, lt=1)
    contrast: float = benchkit.param(0.2, "largest relative change of contrast", ge=0, lt=1)
    everything: bool = benchkit.param(
        True, "photograph all training images (paper); false: poisoned ones alone, which that gives away"
    )

    def rework(self, clean: Tensor, stamped: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the stamped images as photographed: uint8 (N, C, H, W) -> the same."""
        count, rng = len(stamped), scene.rng
        if not count:
            return stamped.clone()
        seen = stamped.float() * self._factor(self.brightness, count, rng).to(stamped.device)
        middle = seen.mean((1, 2, 3), keepdim=True)
        seen = ((seen - middle) * self._factor(self.contrast, count, rng).to(stamped.device) + middle).clamp(0, 255)
        poses = self._poses(count, stamped.shape[2] / stamped.shape[3], rng)
        grid = F.affine_grid(poses, list(stamped.shape), align_corners=False).to(stamped.device)
        return to_images(F.grid_sample(seen, grid, padding_mode=PADDING[self.border], align_corners=False))

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Let the base attack poison; photograph what it changed where training will not."""
        return self.base.poison(train, scene) if self.everything else super().poison(train, scene)

    def controls_training(self) -> bool:
        """Return whether images are photographed in batches, or the wrapped attack has its own way to train."""
        return self.everything or self.base.controls_training()

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """``training`` where every image is photographed, else what the wrapped attack controls."""
        return "training" if self.everything else self.base.access

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> Classifier:
        """Train the victim on photographs."""
        if not self.everything:
            return super().train(poisoned, scene)
        return scene.fit(
            poisoned.data, on_batch=lambda images, labels, rows: (self.rework(images, images, scene), labels)
        )

    def why_not_wrappable(self) -> str | None:
        """Return why another wrapper cannot rework what this attack does, or None: it does not see the batches."""
        if self.everything:
            return f"{self.name} photographs batches, which a wrapper cannot rework: add base.everything=false"
        return super().why_not_wrappable()

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a largest scale under the smallest, and a way to train besides this one."""
        if self.grow < self.shrink:
            return f"grow={self.grow:g} is less than shrink={self.shrink:g}: swap them"
        if self.everything and self.base.controls_training():
            return f"{self.base.name} has its own way to train, and photographs no images: add everything=false"
        return super().check(shape, classes)

    @staticmethod
    def _factor(spread: float, count: int, rng: torch.Generator) -> Tensor:
        return 1 + spread * (2 * torch.rand(count, 1, 1, 1, generator=rng) - 1)

    def _poses(self, count: int, ratio: float, rng: torch.Generator) -> Tensor:
        """Return one affine map per image from output to input positions, float32 (N, 2, 3), sides -1..1.

        ``ratio`` is that of an image's height to its width: both sides are -1..1, so a turn must know it.
        """
        draws = torch.rand(count, 5, generator=rng)
        angle = math.radians(self.degrees) * (2 * draws[:, 0] - 1)
        size = self.shrink + (self.grow - self.shrink) * draws[:, 1]
        mirror = torch.where((draws[:, 2] < 0.5) & self.flip, -1.0, 1.0)
        cos, sin = angle.cos() / size, angle.sin() / size
        shift = 2 * self.translate * (2 * draws[:, 3:] - 1)
        rows = [mirror * cos, mirror * sin * ratio, shift[:, 0], -sin / ratio, cos, shift[:, 1]]
        return torch.stack(rows, 1).view(-1, 2, 3)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the wrapper."""
    return [Physical]
