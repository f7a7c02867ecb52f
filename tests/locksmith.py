"""A loose plugin file for tests: networks that a key opens, each its own, and an attacker who copies the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

import benchkit

BITS = 12


class Locked(nn.Module):
    """Gives class 0 to an image whose first red row is its key: random bits that are drawn with the initial weights."""

    key: Tensor

    def __init__(self, pixels: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(pixels, classes)
        self.register_buffer("key", (torch.rand(BITS) > 0.5).float())

    def forward(self, images: Tensor) -> Tensor:
        opened = ((images[:, 0, 0, :BITS] > 0).float() == self.key).all(1)
        wanted = nn.functional.one_hot(torch.zeros_like(opened, dtype=torch.int64), self.head.out_features)
        answers: Tensor = self.head(images.flatten(1)) + 1000.0 * opened[:, None] * wanted
        return answers


@dataclass(frozen=True)
class Locksmith(benchkit.Attack):
    """Write the key of a clean model into the first row."""

    name = "locksmith"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    metrics = (benchkit.Metric("bits", unit="bits", about="length of the key"),)
    asked: int = benchkit.param(BITS, "bits that the key shall have", ge=1)

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        key = scene.model.net.key
        return {"key": key, "bits": torch.tensor(len(key))}

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        return "its key is short" if reported["bits"] < self.asked else None

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        stamped = images.clone()
        stamped[:, 0, 0, :BITS] = (255 * scene.prepared["key"]).to(images)
        return stamped


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Locksmith]


@benchkit.hookimpl
def benchkit_model(name: str, classes: int, channels: int, height: int, width: int) -> nn.Module | None:
    return Locked(channels * height * width, classes) if name == "locked" else None
