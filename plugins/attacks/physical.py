"""Physical: any attack, seen through a camera whose position changes with every photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit
from benchkit.ops.images import to_images

from .badnets import BadNets

PADDING = {"reflect": "reflection", "black": "zeros"}
"""The names of the ``border`` choices in torch."""


@dataclass(frozen=True)
class Physical(benchkit.AttackWrapper):
    """Randomly mirror, jitter, rotate, shift and shrink the images of another attack, in training and at test time.

    Li et al. 2021, section 4: a physical trigger does not have the same position and brightness in each photograph, so
    the attack is trained, and has to work, under the expectation over such transformations. As in the paper and in
    BackdoorBox, every training image of the victim is transformed ("photographed"), poisoned or clean, anew in each
    batch: the attacker controls the training, and only the trigger distinguishes poisoned images. Training filters
    receive the poisoned set with the images of the base attack before any photograph.

    With ``everything=false`` the attacker controls only the poisoned images, and photographs them once. Then the
    photograph itself is a trigger: with ``border=black``, a frame that no clean image has, photographs without the base
    trigger reach the target as often as those with it; reflected borders reduce this effect but do not remove it.
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
        """Return photographs of the stamped images: uint8 (N, C, H, W) -> the same."""
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
        """Poison with the base attack; photograph the changed images if the training does not do so."""
        return self.base.poison(train, scene) if self.everything else super().poison(train, scene)

    def controls_training(self) -> bool:
        """Return whether images are photographed in batches, or the wrapped attack has its own training."""
        return self.everything or self.base.controls_training()

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """``training`` if every image is photographed, else the access of the wrapped attack."""
        return "training" if self.everything else self.base.access

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier | benchkit.Trained:
        """Train the victim on photographs."""
        if not self.everything:
            return super().train(poisoned, scene)
        return scene.fit(poisoned.data, steering=_Photographed(self, scene))

    def why_not_wrappable(self) -> str | None:
        """Return why another wrapper cannot rework this attack (it does not see the batches), or None."""
        if self.everything:
            return f"{self.name} photographs batches, which a wrapper cannot rework: add base.everything=false"
        return super().why_not_wrappable()

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a largest scale below the smallest, and a base attack with its own training."""
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

        ``ratio`` is height / width of an image: positions are -1..1 on both axes, so a rotation needs it.
        """
        draws = torch.rand(count, 5, generator=rng)
        angle = math.radians(self.degrees) * (2 * draws[:, 0] - 1)
        size = self.shrink + (self.grow - self.shrink) * draws[:, 1]
        mirror = torch.where((draws[:, 2] < 0.5) & self.flip, -1.0, 1.0)
        cos, sin = angle.cos() / size, angle.sin() / size
        turn = torch.stack([mirror * cos, mirror * sin * ratio, -sin / ratio, cos], 1).view(-1, 2, 2)
        shift = 2 * self.translate * (2 * draws[:, 3:, None] - 1)  # of what is seen, so it is undone first
        return torch.cat([turn, -turn @ shift], 2)


class _Photographed(benchkit.Steering):
    """Photograph every image of every batch."""

    def __init__(self, attack: Physical, scene: benchkit.Scene) -> None:
        self.attack, self.scene = attack, scene

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        return step.replaced(images=self.attack.rework(step.images, step.images, self.scene))


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the wrapper."""
    return [Physical]
