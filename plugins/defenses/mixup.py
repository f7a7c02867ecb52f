"""Mixup: a model is trained on mixtures of two images and of their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit_plugins._shared.mixing import Mixing

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Mixup(benchkit.RobustTraining):
    """Train with the benchmark's recipe on ``share * a + (1 - share) * b``, labels alike.

    Zhang et al. 2018. The share is drawn from Beta(alpha, alpha) for each batch, which is mixed with itself in another
    order, after augmentation. Borgnia et al. 2021 propose strong augmentation against poisons. A faded trigger
    comes with a softened label, so that many poisons are learned nevertheless.
    """

    name = "mixup"
    paper = (
        "Zhang et al., ICLR 2018, mixup: Beyond Empirical Risk Minimization; as a defense Borgnia et al., ICASSP 2021"
    )

    alpha: float = benchkit.param(1.0, "both parameters of the Beta distribution of the share", gt=0)
    prob: float = benchkit.param(1.0, "share of batches that are mixed", ge=0, le=1)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained on mixtures."""
        return scene.fit(train, steering=Fading(scene, self.alpha, self.prob))


class Fading(Mixing):
    """Every pixel is mixed."""

    def mixed(self, images: Tensor, order: Tensor, share: float) -> tuple[Tensor, float]:
        """Return ``share`` of each image and 1 - ``share`` of its partner."""
        return share * images + (1 - share) * images[order], share


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer mixup."""
    return [Mixup]
