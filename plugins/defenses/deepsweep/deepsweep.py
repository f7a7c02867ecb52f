"""DeepSweep: fine-tune on heavily transformed clean images, and transform every input lightly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import benchkit

from .transforms import intensive, keys, light

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DeepSweep(benchkit.CleanImages, benchkit.ModelRepair):
    """Unlearn the trigger with augmentation, and break what is left of it in every input.

    Zeng et al. 2021, the two chains of their code. The victim is fine-tuned on clean images under the intensive one:
    optical distortion, gamma 0.6, median, 1.53 times as bright, gamma 2.6, a quarter of the size and back, median,
    180/224 of the size, median, back, a random larger canvas, and a random shift, scale and rotation. Then each input
    passes the light one: median, 180/224 of the size, median, back, and a shift, scale and rotation of its own. These
    are drawn by a hash of its pixels, so that the same image has the same answer.

    Medians are over 3 x 3 pixels of images up to 48 pixels, where the released 5 x 5 would wipe everything out. They
    remove a patch that covers less than half of their window; a smooth trigger all over the image passes both chains.
    """

    name = "deepsweep"
    paper = (
        "Zeng et al., AsiaCCS 2021, DeepSweep: An Evaluation Framework for Mitigating DNN Backdoor Attacks using Data "
        "Augmentation"
    )

    epochs: float = benchkit.param(20, "passes of the fine-tune over the clean images (released: 5 over 1,000)", gt=0)
    lr: float = benchkit.param(0.01, "learning rate of the SGD fine-tune (released: Adadelta, 0.03)", gt=0)
    preprocess: bool = benchkit.param(default=True, help="also transform every input (paper); else the model alone")

    def repair(self, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return the fine-tuned victim behind the light chain."""
        by = keys(scene.shape, scene.rng)
        tuned = scene.fit(
            scene.clean, start=scene.model, epochs=self.epochs, lr=self.lr, steering=Transformed(scene.rng)
        )
        return benchkit.Preprocessed(tuned, before=partial(light, by=by)) if self.preprocess else tuned


class Transformed(benchkit.Steering):
    """Each batch passes the intensive chain."""

    def __init__(self, rng: torch.Generator) -> None:
        self.rng = rng

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with transformed images."""
        return step.replaced(images=intensive(step.floats, self.rng))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer DeepSweep."""
    return [DeepSweep]
