"""A loose plugin file for tests: attacks on some classes or with a test strength, and what shows what they measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

import benchkit


@dataclass(frozen=True)
class Picky(benchkit.SourceClasses):
    """A white corner on images of some classes."""

    name = "picky"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.clone()
        stamped[..., -3:, -3:] = 255
        return stamped


@dataclass(frozen=True)
class Fixed(Picky):
    """The same, always on images of class 2."""

    name = "fixed"

    def source_classes(self) -> tuple[int, ...]:
        return (2,)


@dataclass(frozen=True)
class Loud(benchkit.StrengthAtTest):
    """A corner that is brighter by 20 grey levels, or by as much times the strength."""

    name = "loud"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        stamped = images.int()
        stamped[..., -3:, -3:] += int(20 * scene.strength)
        return stamped.clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Absent(benchkit.Dataset):
    """Four classes of noise; no test image is of class 1."""

    name = "absent"

    def load(self, source: benchkit.Source) -> benchkit.Data:
        rng = torch.Generator().manual_seed(0)
        images = torch.randint(256, (160, 1, 12, 12), generator=rng).to(torch.uint8)
        labels = torch.arange(160) % 4
        test = labels[:40] != 1
        return benchkit.Data(
            benchkit.Split(images, labels), benchkit.Split(images[:40][test], labels[:40][test]), tuple("abcd")
        )


@dataclass(frozen=True)
class Same(benchkit.CleanImages, benchkit.ModelRepair):
    """Return a model that says the same of every image."""

    name = "same"
    answer: int = benchkit.param(0, "what it says", ge=0)

    def repair(self, scene: benchkit.Scene) -> Any:
        with torch.no_grad():
            scene.model.head.weight.zero_()
            scene.model.head.bias.zero_()
            scene.model.head.bias[self.answer] = 1
        return scene.model


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Picky, Fixed, Loud]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Same]


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    return [Absent]
