"""A loose plugin file for tests: a model detector that learns from shadow models of its own description."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier


def cornered(images: torch.Tensor) -> torch.Tensor:
    """Return the images with a white 3 x 3 corner."""
    stamped = images.clone()
    stamped[..., -3:, -3:] = 255
    return stamped


@dataclass(frozen=True)
class Cornered(benchkit.Shadows):
    """Even numbers see clean images, odd ones also copies with a white corner, of class 0."""

    name = "cornered"
    clean: float = benchkit.param(0.5, "share held", gt=0, le=1)
    mode: str = benchkit.param("right", "how it behaves", choices=("right", "text", "shape", "label"))
    log: str = benchkit.param("", "a file that remembers the numbers asked for", used_by_prepare=False)

    def split(self, number: int, scene: benchkit.Scene) -> benchkit.Split:
        if self.log:
            with Path(self.log).open("a") as log:
                log.write(f"{number}\n")
        rows = torch.randint(len(scene.clean), (160,), generator=scene.rng)
        images, labels = scene.clean.images[rows], scene.clean.labels[rows]
        if number % 2:
            images = torch.cat([images[:80], cornered(images[80:])])
            labels = torch.cat([labels[:80], labels[80:] * 0])
        if self.mode == "text":
            return "no split"  # type: ignore[return-value]
        if self.mode == "shape":
            images = images[..., :-1]
        return benchkit.Split(images, labels + 9 * (self.mode == "label"))


@dataclass(frozen=True)
class Probe(benchkit.CleanImages, benchkit.ModelDetector):
    """Scores the share of white-cornered random images that a model calls class 0; the cut-off comes from shadows."""

    name = "probe"
    clean: float = benchkit.param(0.5, "share held", gt=0, le=1)
    models: int = benchkit.param(4, "shadow models", ge=2)
    where: float = benchkit.param(0.5, "where the cut-off lies between benign and backdoored shadows", ge=0, le=1)
    sign: int = benchkit.param(1, "-1 turns the score round", choices=(1, -1))
    mode: str = benchkit.param("right", "how the shadows behave")
    arch: str = benchkit.param("", "architecture of the shadows")
    log: str = benchkit.param("", "a file that remembers which shadows were described", used_by_prepare=False)

    def shadows(self) -> benchkit.Shadows:
        return Cornered(
            self.models, self.clean, self.arch, "fast:epochs=4,batch=32,flip=false,crop=0", self.mode, self.log
        )

    def prepare(self, scene: benchkit.Scene) -> dict[str, torch.Tensor]:
        shares = torch.tensor([self._share(model, scene) for model in scene.shadows])
        benign, backdoored = shares[0::2].mean(), shares[1::2].mean()
        return {"cutoff": benign + self.where * (backdoored - benign), "shares": shares}

    def score(self, scene: benchkit.Scene) -> float:
        return self.sign * self._share(scene.model, scene)

    def flags_above(self, scene: benchkit.Scene) -> float:
        return self.sign * float(scene.prepared["cutoff"])

    def _share(self, model: Classifier, scene: benchkit.Scene) -> float:
        return float((answers(model, scene) == 0).float().mean())


def answers(model: Classifier, scene: benchkit.Scene) -> torch.Tensor:
    """Return what a model calls random images with a white corner."""
    noise = torch.randint(0, 180, (64, *scene.shape), generator=torch.Generator().manual_seed(0))
    return model.logits(cornered(noise.byte())).argmax(1)


@dataclass(frozen=True)
class Leads(benchkit.CleanImages, benchkit.ModelDetector):
    """Scores the class that most random images with a white corner are called."""

    name = "leads"

    def score(self, scene: benchkit.Scene) -> float:
        return float(answers(scene.model, scene).mode().values)

    def flags_above(self, scene: benchkit.Scene) -> float:
        return 0.5


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    return [Probe, Leads]
