"""Loss-based isolation: images that are learned too easily are dropped from the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit_plugins._shared.isolation import Isolating

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LossIsolation(Isolating, benchkit.TrainingFilter):
    """Train for a few epochs with local gradient ascent, and drop the images with the lowest loss.

    The first step of anti-backdoor learning (Li et al. 2021, eq. 3) as a filter of its own: the loss of each batch is
    ``sign(CE - gamma) * CE`` of its mean CE, which holds the mean at ``gamma`` while that of backdoored images, which
    are learned first, continues to fall. Dropped is the share ``isolation`` of all images with the lowest loss under
    that model, in evaluation mode and without augmentation, whether or not there is a backdoor.

    The paper isolates 1 %, because unlearning (``abl``) needs few images that are surely poison. A filter has to catch
    them all: the defender assumes a poison rate, 10 % by default, and drops as many. A few poisons that are left may
    be enough for a backdoor, so read the ASR beside the recall.
    """

    name = "loss-isolation"
    paper = "Li et al., NeurIPS 2021, Anti-Backdoor Learning: Training Clean Models on Poisoned Data (its isolation)"

    isolation: float = benchkit.param(0.1, "share of the training set that is dropped (paper: 0.01)", gt=0, lt=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the number of images to drop minus each image's place from the lowest loss, float32 (N,)."""
        losses = self.isolated_losses(train, scene)
        places = losses.argsort(stable=True).argsort()
        return (benchkit.share_of(self.isolation, len(train)) - places).float()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer loss-based isolation."""
    return [LossIsolation]
