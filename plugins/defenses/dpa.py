"""Deep partition aggregation: models vote that have no training image in common, so few poisons sway few votes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from benchkit_plugins._shared.votes import certain, sorted_by_content

import benchkit


@dataclass(frozen=True)
class DeepPartitionAggregation(benchkit.RobustTraining):
    """Split the training set by the content of its images, train a model on each part, and take the plurality.

    Levine and Feizi 2021. An image belongs to the part that the sum of its pixels, modulo ``parts``, names, whatever
    else is in the set; each part is sorted by content, and its model is trained with random numbers of its own. Thus an
    inserted or removed image changes one vote, and a changed image two: the certificate, in changed images, is half of
    the paper's radius. Of equal numbers of votes the smaller class wins.

    A part of fewer than two images is filled up with black images of class 0, which does not depend on other parts.
    Models are trained one by one: stacked models share random numbers, and a poison in one part would reach others.
    The certificate takes it that the same part gives the same model, which holds on a CPU. Kernels of a GPU may add in
    another order each time: there it holds up to the votes that this turns.
    """

    name = "dpa"
    paper = (
        "Levine and Feizi, ICLR 2021, Deep Partition Aggregation: Provable Defense against General Poisoning Attacks"
    )

    parts: int = benchkit.param(
        5,
        "parts of the training set, and models; a quarter of them is the largest certificate "
        "(paper: 1,200 on MNIST, 50 to 1,000 on CIFAR-10)",
        ge=1,
    )
    epochs: float = benchkit.param(20, "passes of each model over its part (paper: 200)", gt=0)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the models' vote, and its certificate."""
        whole = sorted_by_content(train)
        where = whole.images.long().sum((1, 2, 3)) % self.parts
        models = [scene.fit(_filled(whole[where == part]), epochs=self.epochs) for part in range(self.parts)]
        vote = benchkit.Ensemble(models, "majority")
        return benchkit.Verdict(vote, certificate=lambda images: certain(vote.logits(images)) // 2)


def _filled(part: benchkit.Split) -> benchkit.Split:
    """Return a part with at least two images."""
    few = max(0, 2 - len(part))
    black, first = part.images.new_zeros(few, *part.images.shape[1:]), part.labels.new_zeros(few)
    return benchkit.Split(torch.cat([part.images, black]), torch.cat([part.labels, first]))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer deep partition aggregation."""
    return [DeepPartitionAggregation]
