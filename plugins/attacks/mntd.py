"""MNTD: a patch with random position, target and poison rate, like those of MNTD's target models."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from benchkit_plugins._shared.mntd import Patch, share
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class Mntd(benchkit.Attack):
    """Blend noise into a patch or the whole image; every choice is drawn anew for each model of a population.

    Xu et al. evaluate their detector on models whose triggers come from the family of its shadow models: ``kind=M``
    (modification) replaces a square of 2 to 5 pixels, ``kind=B`` (blending) mixes noise into the whole image with a
    weight of U(0.05, 0.2). Each model has its own pattern, position, target class and poisoned share, U(0.05, 0.5);
    grey images have patterns of black and white. A victim outside of populations is one such model.

    Differences from the released code: a share above the poison rate is reduced to it, so ``--poison-rate 0.5`` is the
    paper's setting. Poisoned images replace their originals and are not of the target class, as with every attack here;
    the paper adds triggered copies of images of any class.
    """

    name = "mntd"
    paper = "Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis"
    in_all = False  # without a population it is badnets or blend with another trigger in each seed

    kind: str = benchkit.param("M", "a small patch that replaces pixels, or a faint whole one", choices=("M", "B"))
    target: int = benchkit.param(
        -1, "class the trigger leads to; -1: drawn, for each model of a population anew", ge=0, auto=-1
    )

    def draw(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw the trigger of one model.

        Returns ``pattern``, float32 (C, h, w) in [0, 1]; ``place``, int64 (2,), its top and left; ``alpha`` and
        ``share``, float64 (), its weight and the poisoned share of the training set; ``target``, int64 (), unless
        given.
        """
        patch = Patch.drawn(scene.shape, scene.rng, self.kind)
        return {
            **super().draw(scene),
            "pattern": patch.pattern,
            "place": torch.tensor([patch.top, patch.left]),
            "alpha": torch.tensor(patch.alpha, dtype=torch.float64),
            "share": torch.tensor(share(scene.rng), dtype=torch.float64),
        }

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the pattern: uint8 (N, C, H, W) -> the same."""
        drawn = scene.prepared
        top, left = drawn["place"].tolist()
        return Patch(top, left, float(drawn["alpha"]), drawn["pattern"])(images)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the mean grey of the pattern mixed in, unless it is only pasted: uint8, same shape."""
        if self.kind == "M":
            return super().control(images, scene)
        pattern = scene.prepared["pattern"]
        return Patch(0, 0, float(scene.prepared["alpha"]), pattern.mean().expand_as(pattern))(images)

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Poison the drawn share of the training set, at most the poison rate: images of other classes."""
        rate = min(scene.poison_rate, float(scene.prepared["share"]))
        return super().poison(train, dataclasses.replace(scene, rate=rate))

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images that are too small for a patch."""
        if min(shape[1:]) < 8:
            return f"mntd needs images of 8 pixels or more, and these are {shape[1]}x{shape[2]}"
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the attack."""
    return [Mntd]
