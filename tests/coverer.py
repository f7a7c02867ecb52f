"""A loose plugin file for tests: an attack with covers, and a filter that drops what it is told to."""

from __future__ import annotations

from dataclasses import dataclass

import torch

import benchkit

WHITE, GREY = 255, 200
"""Of the corners of poisons and covers: no image of the toy dataset is as bright."""


def cornered(images: torch.Tensor, level: int) -> torch.Tensor:
    """Return the images with a corner of this grey level."""
    painted = images.clone()
    painted[..., -3:, -3:] = level
    return painted


@dataclass(frozen=True)
class Coverer(benchkit.CoverImages):
    """A white corner, and a grey one on covers; mode chooses how its covers misbehave."""

    name = "coverer"
    mode: str = benchkit.param("right", "how covers are made", choices=("right", "none", "relabelled", "poisons"))

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return cornered(images, WHITE)

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        made = super().poison(train, scene)
        if self.mode == "none":
            return made
        rows = benchkit.cover_rows(made.mask, self.cover_rate, scene.rng)
        if self.mode == "poisons":
            rows = made.mask.nonzero().squeeze(1)
        made = made.covering(rows, cornered(train.images[rows], GREY))
        if self.mode == "relabelled":
            made.data.labels[rows] = (made.data.labels[rows] + 1) % scene.classes
        return made


@dataclass(frozen=True)
class Undeclared(benchkit.Attack):
    """A white corner, and covers that no parameter announces."""

    name = "undeclared"

    def stamp(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        return cornered(images, WHITE)

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        return Coverer(cover_rate=0.1).poison(train, scene)


@dataclass(frozen=True)
class Picker(benchkit.TrainingFilter):
    """Drops poisons, covers, or every second image."""

    name = "picker"
    drop: str = benchkit.param("poisons", "what is dropped", choices=("poisons", "covers", "half"))

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> torch.Tensor:
        level = train.images[:, 0, -1, -1]
        half = torch.arange(len(train)) % 2 == 0
        picked = {"poisons": level == WHITE, "covers": level == GREY, "half": half}
        return picked[self.drop].float()


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    return [Coverer, Undeclared]


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Picker]
