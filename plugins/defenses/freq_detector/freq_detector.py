"""The frequency detector: a small network that separates clean from manipulated images by their DCT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import benchkit

from .base import FrequencyDefense

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FreqDetector(FrequencyDefense, benchkit.InputDetector):
    """Train a six-layer network on the DCT of clean images and of manipulated copies; flag the latter.

    The defender knows no attack: the copies carry blocks, noise, shadows and blends of random size and place. Input,
    network and copies follow the released code (Section 4 of the paper): raw coefficients of 0-255 pixels per channel,
    batches of 64, Adadelta(rho 0.95, eps 1e-7), a penalty of 1e-4 |w|^2 on the convolutions, and new copies in every
    round. Two things differ. A tenth of the clean images is held out to set the threshold (``threshold=argmax`` is the
    paper's rule, the larger logit). And the training has a tenth of the length, so its learning rate starts higher and
    ends lower; ``epochs=10,lr=0.05,anneal=false`` is the paper's training.

    ``train_on`` and ``tune`` are the transfer experiments (Tables 2 to 4): the detector is trained on other datasets,
    whose held-out tenth sets the threshold, then fine-tuned on a few images of this one. ``smooth_aug`` is the upgrade
    of Section 5.4.

    For images above 160 pixels the paper uses a linear classifier, without details of its features or its training. On
    raw coefficients it learns signs that a fixed trigger may not have. Here the features of ``linear`` and ``svm`` are
    the power of the coefficients, and of their differences between channels, in frequency bands; they train in the same
    rounds.
    """

    name = "freq-detector"
    paper = "Zeng et al., ICCV 2021, Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective"


@dataclass(frozen=True)
class FreqFilter(FrequencyDefense, benchkit.TrainingFilter):
    """Drop the training images that the frequency detector flags; the victim is retrained on the rest.

    Section 5.4 of the paper ("poisoned training samples are removed"). It is ``freq-detector`` with the same
    parameters, and shares its trained network. The poisoned set is scored unchanged; if the defender holds the clean
    versions of all its images (``clean=1``), the detector was trained on most of them.
    """

    name = "freq-filter"
    paper = FreqDetector.paper

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the score minus the cutoff, float32 (N,): above 0 for the images to drop."""
        return (self.score(train.images, scene).double() - self.cutoff(scene)).float()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer the frequency detector and its training filter."""
    return [FreqDetector, FreqFilter]
