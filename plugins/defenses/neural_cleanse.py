"""Neural Cleanse: a label that a suspiciously small patch can reach is the target of a backdoor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.tanh import start, unit

import benchkit
from benchkit.ops.outliers import mad_index, median

if TYPE_CHECKING:
    from torch import Tensor


CHUNK_IMAGES = 512
"""Stamped images per forward and backward pass; limits memory for any number of classes."""

GROW, SHRINK = 2.0, 2.0**1.5
"""Factors of the mask's weight (the authors' code: cost_multiplier 2, and its power 1.5 downwards)."""


@dataclass(frozen=True)
class NeuralCleanse(benchkit.CleanImages, benchkit.OutlierDetector):
    """Reverse-engineer the smallest trigger for every label; a label whose trigger is an outlier is a target.

    Per label t a mask m in [0, 1] (H, W) and a pattern D (C, H, W) minimise ``CE(f((1 - m) x + m D), t) + w |m|_1``
    over hold-out images x (paper, eq. 3), with tanh parametrisation and Adam (lr 0.1, betas 0.5 and 0.9). After each
    round ``w`` is adjusted as in the authors' code: it is 0 until ``patience`` rounds in a row succeed, then
    ``init_weight``; ``patience`` successes in a row double it, ``patience`` failures in a row divide it by 2^1.5. For
    each label, the smallest mask of a round with a success rate of at least ``success`` is kept; size and rate are
    means over the mini-batches of the round, for the mask that stamped each batch.

    The score is the anomaly index (paper, section 4): how many scaled median absolute deviations (times 1.4826) the
    smallest mask is below the median; more than 2 is a backdoor, as in the paper. That is no 5 % level: the largest
    index of ten normal numbers exceeds 2 in 33 % of draws, of 43 in 64 %. ``cutoff=null:0.05`` is the index that it
    exceeds in 5 % (3.9 and 3.5). Sizes cannot be below 0, so the paper's index saturates if the sizes of the other
    labels differ much: a size of 0.5 among nine labels from 2.5 to 23 has the index 1.0. ``sizes=log`` uses the
    logarithms of the sizes and gives 3.4. With two sizes the index is always 1 / 1.4826, so there must be at least
    three classes.

    Reduced for CPUs: ``rounds`` (paper: up to 1000, with early stopping) and ``batches`` per round (paper: 31); all
    labels are optimised side by side in the same passes. Cost grows with the number of classes.

    The suspected classes are the labels whose index is above the cutoff. The verdict shows the trigger of the label
    with the smallest mask, m D, and the mask m, both as they stamped the last mini-batch of their round.
    """

    name = "neural-cleanse"
    paper = "Wang et al., IEEE S&P 2019, Neural Cleanse: Identifying and Mitigating Backdoor Attacks"
    labelled = False

    metrics = (
        benchkit.Metric(
            "mask_size", title="mask size", unit="px", about="L1 norm of the smallest mask that leads to one label"
        ),
        benchkit.Metric(
            "mask_size_median", title="median mask size", unit="px", about="median of that norm over all labels"
        ),
    )

    rounds: int = benchkit.param(100, "adjustments of the mask's weight (paper: up to 1000)", ge=1)
    batches: int = benchkit.param(2, "mini-batches in each round (paper: 31)", ge=1)
    batch: int = benchkit.param(16, "images per label in a mini-batch (paper: 32)", ge=1)
    lr: float = benchkit.param(0.1, "Adam's learning rate", gt=0)
    success: float = benchkit.param(0.99, "share of a round's images a trigger must lead to its label", gt=0, le=1)
    patience: int = benchkit.param(5, "rounds in a row before the mask's weight changes", ge=1)
    init_weight: float = benchkit.param(0.001, "first positive weight of the mask's L1 norm", gt=0)
    sizes: str = benchkit.param(
        "linear", "scale on which a mask is an outlier: pixels (paper), or their logarithm", choices=("linear", "log")
    )

    def score(self, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the anomaly index of the label with the smallest trigger, >= 0, that trigger, and the outliers."""
        found = self.triggers(scene)
        indexes = anomaly_indexes(found.sizes, log=self.sizes == "log")
        mask, pattern = (each[found.sizes.argmin()] for each in (found.masks, found.patterns))
        return benchkit.Verdict(
            float(indexes.max()),
            metrics={"mask_size": float(found.sizes.min()), "mask_size_median": float(median(found.sizes))},
            images={"recovered trigger": mask * pattern, "its mask": mask},
            classes=self.outliers(indexes, scene),
        )

    def triggers(self, scene: benchkit.Scene) -> Recovered:
        """Return the smallest trigger of each label."""
        model = scene.model.requires_grad_(requires_grad=False)
        per_pass = max(1, CHUNK_IMAGES // self.batch)
        labels = torch.arange(scene.classes, device=scene.device)
        parts = [self._search(some, model, scene) for some in labels.split(per_pass)]
        return Recovered(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def _search(self, labels: Tensor, model: benchkit.Classifier, scene: benchkit.Scene) -> Recovered:
        triggers = _Triggers(labels, scene)
        optimiser = torch.optim.Adam([triggers.mask_raw, triggers.pattern_raw], lr=self.lr, betas=(0.5, 0.9))
        schedule = _Schedule(triggers, self, scene.device)
        for _ in range(self.rounds):
            steps = [self._step(triggers, schedule.weight, model, optimiser, scene) for _ in range(self.batches)]
            rate, sizes = torch.stack(steps).mean(dim=0)
            schedule.update(rate, sizes)
        return schedule.best(sizes)

    def _step(
        self,
        triggers: _Triggers,
        weight: Tensor,
        model: benchkit.Classifier,
        optimiser: torch.optim.Optimizer,
        scene: benchkit.Scene,
    ) -> Tensor:
        """Update triggers on a random mini-batch; return their success rates and sizes before it, float32 (2, K)."""
        rows = torch.randint(len(scene.clean), (self.batch,), generator=scene.rng)
        images = scene.clean.images[rows.to(scene.clean.images.device)]
        sizes = triggers.sizes()  # before the update, like the success rates
        return torch.stack([triggers.step(images, weight, model, optimiser), sizes])


class Recovered(NamedTuple):
    """The smallest trigger of each label.

    Attributes:
        sizes: float32 (K,), the L1 norm of its mask, in pixels (0..H*W).
        masks: float32 (K, 1, H, W) in [0, 1].
        patterns: float32 (K, C, H, W) in [0, 1].
    """

    sizes: Tensor
    masks: Tensor
    patterns: Tensor


def anomaly_indexes(sizes: Tensor, log: bool = False) -> Tensor:
    """Return how far each size is below the median, in scaled median absolute deviations, float64 (K,).

    ``sizes`` is (K,), all above 0; with ``log`` their logarithms are compared. The largest index is 0 if the smallest
    size is the median. The deviation is at least a thousandth of the median size, so that the index is finite if most
    sizes are equal.
    """
    values = sizes.double().log() if log else sizes.double()
    least = 1e-3 if log else 1e-3 * float(median(values))
    return mad_index(values, "low", floor=max(least, 1e-9))


def anomaly_index(sizes: Tensor, log: bool = False) -> float:
    """Return the largest of these indexes, that of the smallest size."""
    return float(anomaly_indexes(sizes, log).max())


class _Triggers:
    """One mask and one pattern per label, in tanh space, their joint optimisation, and those that stamped last."""

    def __init__(self, labels: Tensor, scene: benchkit.Scene) -> None:
        channels, height, width = scene.shape
        self.labels = labels
        self.mask_raw = start((len(labels), 1, height, width), scene)
        self.pattern_raw = start((len(labels), channels, height, width), scene)
        self.stamped = unit(self.mask_raw.detach()), unit(self.pattern_raw.detach())

    def step(
        self, images: Tensor, weight: Tensor, model: benchkit.Classifier, optimiser: torch.optim.Optimizer
    ) -> Tensor:
        """Update all triggers on uint8 images (b, C, H, W); return each label's success before it, float32 (K,).

        The labels share only the forward pass, so the gradient of the summed loss is the gradient of each label.
        """
        mask, pattern = unit(self.mask_raw)[:, None], unit(self.pattern_raw)[:, None]
        self.stamped = mask.detach()[:, 0], pattern.detach()[:, 0]
        stamped = (1 - mask) * (images.float() / 255) + mask * pattern
        logits = model(stamped.flatten(0, 1))
        wanted = self.labels.repeat_interleave(len(images))
        attack = F.cross_entropy(logits, wanted, reduction="none").view(len(self.labels), -1).mean(dim=1)
        loss = (attack + weight * mask.flatten(1).sum(dim=1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        hits: Tensor = (logits.argmax(dim=1) == wanted).view(len(self.labels), -1).float()
        return hits.mean(dim=1)

    def sizes(self) -> Tensor:
        """Return each mask's L1 norm, float32 (K,)."""
        return unit(self.mask_raw.detach()).flatten(1).sum(dim=1)


class _Schedule:
    """Each label's mask weight and the smallest successful trigger so far, adjusted after every round."""

    def __init__(self, triggers: _Triggers, settings: NeuralCleanse, device: torch.device) -> None:
        self.triggers, self.settings, labels = triggers, settings, len(triggers.labels)
        self.kept = triggers.stamped
        self.weight = torch.zeros(labels, device=device)
        self.smallest = torch.full((labels,), torch.inf, device=device)
        self.wins = torch.zeros(labels, device=device)
        self.losses = torch.zeros(labels, device=device)

    def update(self, rate: Tensor, sizes: Tensor) -> None:
        """Update with the success rates and mask sizes of a round, both (K,)."""
        won = rate >= self.settings.success
        self._keep(self.smallest.isinf() | (won & (sizes < self.smallest)))
        self.smallest = torch.where(won, self.smallest.minimum(sizes), self.smallest)
        self.wins = torch.where(won, self.wins + 1, 0)
        self.losses = torch.where(won, 0, self.losses + 1)
        up, down = self.wins >= self.settings.patience, self.losses >= self.settings.patience
        grown = torch.where(self.weight > 0, self.weight * GROW, self.settings.init_weight)
        self.weight = torch.where(up, grown, torch.where(down, self.weight / SHRINK, self.weight))
        self.wins, self.losses = self.wins.masked_fill(up, 0), self.losses.masked_fill(down, 0)

    def _keep(self, labels: Tensor) -> None:
        """Keep the triggers that stamped last, of these labels, bool (K,); those without success keep their newest."""
        chosen = labels[:, None, None, None]
        mask, pattern = (torch.where(chosen, *both) for both in zip(self.triggers.stamped, self.kept, strict=True))
        self.kept = mask, pattern

    def best(self, last: Tensor) -> Recovered:
        """Return the smallest successful triggers; the newest, of size ``last``, for labels without a success."""
        return Recovered(torch.where(self.smallest.isinf(), last, self.smallest), *self.kept)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer Neural Cleanse."""
    return [NeuralCleanse]
