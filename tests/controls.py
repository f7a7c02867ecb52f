"""A loose plugin file for tests: stamps that also brighten, benign processing, and a detector with two kinds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import benchkit


def brighter(images: torch.Tensor) -> torch.Tensor:
    return (images.int() + 100).clamp(0, 255).byte()


@dataclass(frozen=True)
class Lift(benchkit.Attack):
    """Brightens, then darkens the top-left pixel."""

    name = "lift"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = brighter(images)
        stamped[..., 0, 0] = 0
        return stamped

    def control(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return brighter(images)


@dataclass(frozen=True)
class Huge(benchkit.Attack):
    """Suits large images only."""

    name = "huge"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return 255 - images

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        return "needs 500 pixels" if shape[1] < 500 else super().check(shape, classes)


@dataclass(frozen=True)
class Processed(benchkit.NoAttack):
    """Brightens every test image and implants nothing."""

    name = "processed"
    lift: bool = benchkit.param(True, "whether to")

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return brighter(images) if self.lift else images.clone()


@dataclass(frozen=True)
class Learnt(benchkit.Defense):
    """The brightness of clean images, its own or another dataset's."""

    prepared_as = "learnt"
    source: str = benchkit.param("", "a dataset to learn from instead")
    clean: float = benchkit.param(1.0, "share", gt=0, le=1)

    def other_datasets(self) -> tuple[str, ...]:
        return (self.source,) if self.source else ()

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        images = scene.others[self.source].images if self.source else scene.clean.images
        return {"level": images.float().mean((1, 2, 3)), "count": torch.tensor(len(images))}

    def _height(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return images.float().mean((1, 2, 3)) - scene.prepared["level"].max()


@dataclass(frozen=True)
class Glare(Learnt, benchkit.InputDetector):
    """Flags images brighter than any clean one."""

    name = "glare"
    has_boundary = True

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return self._height(images, scene)


@dataclass(frozen=True)
class GlareFilter(Learnt, benchkit.TrainingFilter):
    """Drops training images brighter than any clean one."""

    name = "glare-filter"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> torch.Tensor:
        return self._height(train.images, scene)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Lift, Huge, Processed]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Glare, GlareFilter]
