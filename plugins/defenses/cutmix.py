"""CutMix: a box of every training image comes from another one, and labels follow its area."""

from __future__ import annotations

from dataclasses import dataclass

from benchkit_plugins._shared.mixing import Boxes

import benchkit


@dataclass(frozen=True)
class CutMix(benchkit.RobustTraining):
    """Train with the benchmark's recipe on images with a box of other images.

    Yun et al. 2019: the share of the image that is kept is drawn from Beta(alpha, alpha), the centre of the box is
    uniform, the box is clipped at the border, and the label keeps the share of the area that is really left (on average
    0.70 for alpha = 1), after augmentation. One box and one order of partners for each batch. The share is not bounded,
    as it is in some released code ([0.3, 0.7]).

    Borgnia et al. 2021 propose it against poisons. A patch is covered in a share of the images and pasted into others
    with a softened label, so it is learned less; a trigger over the whole image is hardly affected.
    """

    name = "cutmix"
    paper = (
        "Yun et al., ICCV 2019, CutMix; as a defense Borgnia et al., ICASSP 2021, Strong Data Augmentation Sanitizes"
    )

    alpha: float = benchkit.param(1.0, "both parameters of the Beta distribution of the share that is kept", gt=0)
    prob: float = benchkit.param(
        1.0, "share of batches that are mixed (paper: 0.5 on CIFAR, 1 on ImageNet)", ge=0, le=1
    )

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained on images with boxes of others."""
        return scene.fit(train, steering=Boxes(scene, self.alpha, self.prob))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer CutMix."""
    return [CutMix]
