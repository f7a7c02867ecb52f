"""MaxUp: of several augmented copies of each training image, only the worst is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.mixing import Boxes, Holes

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MaxUp(benchkit.RobustTraining):
    """Train with the benchmark's recipe on the worst of several augmented copies of each image, by its loss.

    Gong et al. 2021. The copies differ in the recipe's crops and mirror images, and beside these each has a hole of a
    quarter of its side (Cutout) or a box of another image (CutMix). The worst copies are found in a pass without
    gradients over all, so a step costs about 1 + copies / 3 of a plain one; the statistics of batch normalisation are
    those of the worst, as the gradient is. Borgnia et al. 2021 propose it against poisons. With CutMix the worst copies
    are those of the most mixed labels, which need a far longer training than the benchmark's recipe for a CPU.
    """

    name = "maxup"
    paper = (
        "Gong et al., CVPR 2021, MaxUp; as a defense Borgnia et al., ICASSP 2021, Strong Data Augmentation Sanitizes"
    )

    copies: int = benchkit.param(4, "augmented copies of each image", ge=1)
    of: str = benchkit.param(
        "cutout", "what makes copies differ beside the recipe's augmentation", choices=("cutout", "cutmix", "recipe")
    )

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained on the worst copies."""
        return scene.fit(train, steering=Worst(self.copies, self._differing(scene)))

    def _differing(self, scene: benchkit.Scene) -> benchkit.Steering:
        if self.of == "recipe":
            return benchkit.Steering()
        return Boxes(scene, alpha=1.0) if self.of == "cutmix" else Holes(0.25, scene.rng)


class Worst(benchkit.Steering):
    """Every image of a batch is copied, and of its copies the worst counts.

    Args:
        copies: how many.
        mixing: what is done with each set of copies after augmentation.
    """

    def __init__(self, copies: int, mixing: benchkit.Steering) -> None:
        self.copies, self.mixing = copies, mixing

    def batch(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with all copies: the whole batch, as often as there are copies."""
        images, labels, rows = (torch.cat([one] * self.copies) for one in (step.images, step.labels, step.rows))
        return step.replaced(images=images, labels=labels, rows=rows)

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with each set of copies mixed on its own."""
        parts = torch.arange(len(step.rows), device=step.rows.device).chunk(self.copies)
        made = [self.mixing.inputs(_rows(step, part)) for part in parts]
        images, labels = (torch.cat([getattr(one, name) for one in made]) for name in ("images", "labels"))
        return step.replaced(images=images, labels=labels)

    def objective(self, step: benchkit.Step) -> Tensor:
        """Return the mean loss of the worst copies."""
        return super().objective(step if self.copies == 1 else _rows(step, self._worst(step)))

    @torch.no_grad()
    def _worst(self, step: benchkit.Step) -> Tensor:
        """Return the row of the worst copy of each image, int64 (B,); what the model keeps of batches stays."""
        kept = [each.clone() for each in step.model.buffers()]
        logits = step.model(step.images)
        for each, before in zip(step.model.buffers(), kept, strict=True):
            each.copy_(before)
        losses = F.cross_entropy(logits, step.labels, label_smoothing=step.smoothing, reduction="none")
        losses = losses.view(self.copies, -1)
        count = losses.shape[1]
        return losses.argmax(0) * count + torch.arange(count, device=losses.device)


def _rows(step: benchkit.Step, rows: Tensor) -> benchkit.Step:
    return step.replaced(images=step.images[rows], labels=step.labels[rows], rows=step.rows[rows])


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer MaxUp."""
    return [MaxUp]
