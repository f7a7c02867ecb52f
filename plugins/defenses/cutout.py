"""Cutout: a random square of every training image is grey."""

from __future__ import annotations

from dataclasses import dataclass

from benchkit_plugins._shared.mixing import Holes

import benchkit


@dataclass(frozen=True)
class Cutout(benchkit.RobustTraining):
    """Train with the benchmark's recipe on images of which a square is covered anew in every batch.

    DeVries and Taylor 2017: the centre is uniform over the image's pixels, a square beyond the border is clipped, and
    it is filled with the mean colour of the training set, after augmentation. Borgnia et al. 2021 propose strong
    augmentation against poisons: a trigger that is covered in some of the images is learned more slowly. A patch
    remains in most of them, and a trigger over the whole image in all.
    """

    name = "cutout"
    paper = "DeVries and Taylor, 2017 (arXiv:1708.04552); as a defense Borgnia et al., ICASSP 2021"

    size: float = benchkit.param(
        0.25, "side of the square, as a share of the image's (paper: 0.5 on CIFAR-10, 0.25 on CIFAR-100)", gt=0, le=1
    )

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained on images with a hole."""
        return scene.fit(train, steering=Holes(self.size, scene.rng))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer Cutout."""
    return [Cutout]
