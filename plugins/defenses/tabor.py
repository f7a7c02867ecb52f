"""TABOR: the trigger of each label that is small, in one piece, hides nothing, and works alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.tanh import start, unit

import benchkit
from benchkit.ops.outliers import mad_index

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 512
"""Stamped images per forward and backward pass."""
LEAST = 0.01
"""The smallest rate whose logarithm counts."""
FEWEST = 3
"""Labels among which one can be an outlier."""
WORKS = 0.5
"""The share of images that a trigger must lead to its label to be one."""


@dataclass(frozen=True)
class Tabor(benchkit.CleanImages, benchkit.OutlierDetector):
    """Reverse-engineer a trigger for every label under four priors; a label whose trigger is too good is a target.

    Guo et al. 2019. Per label t a mask M (H, W) and a pattern D (C, H, W) minimise ``CE(f((1 - M) x + M D), t)`` plus

    - R1, too large: ``large`` (``|M|_1 + |M|_2^2``) and ``outside`` (``|D'|_1 + |D'|_2^2``), D' = (1 - M) D;
    - R2, in pieces: ``scattered`` (``TV(M) + TV(D')``), TV the sum of squared differences of neighbours, both ways;
    - R3, hiding the object: ``blocking`` times ``CE(f((1 - M) x), y)``, y the label of x;
    - R4, needing the image: ``alone`` times ``CE(f(M D), t)``.

    The iterate of the lowest loss is kept. The quality of a label's trigger is ``A = log((|M|_1 + 1) / d^2) + log((TV(M
    > 1/2) + 1) / (d (d - 1))) - log(attack) - log(crop)``, d the side, *attack* the success rate of stamping, *crop*
    the accuracy without the masked pixels: lower is more suspicious. A trigger that leads less than half of the images
    to its label has the largest A of all, since an empty mask would have the smallest. The score is how many scaled
    median absolute deviations the lowest A is below the median. If most labels fail, they all have one A: then the
    others are compared with each other.

    Weights are for pixels in [0, 1] and sums over pixels divided by their number, so that one set serves all sizes. The
    released weights are for sums, and for patterns of up to 255; its R2 acts in one direction only, its R3 takes the
    label of the first image for the whole batch, and it has no test among the labels. All labels are optimised side by
    side.
    """

    name = "tabor"
    paper = (
        "Guo et al., arXiv 2019, TABOR: A Highly Accurate Approach to Inspecting and Restoring Trojan Backdoors in AI "
        "Systems"
    )

    steps: int = benchkit.param(200, "steps of one batch each (released: 200 passes over the images)", ge=1)
    batch: int = benchkit.param(16, "images per label in a step (released: 32)", ge=1)
    lr: float = benchkit.param(0.1, "Adam's learning rate (released: 0.001)", gt=0)
    large: float = benchkit.param(0.5, "weight of a large mask", ge=0)
    outside: float = benchkit.param(0.01, "weight of a pattern outside of its mask", ge=0)
    scattered: float = benchkit.param(0.1, "weight of a mask and a pattern in pieces", ge=0)
    blocking: float = benchkit.param(0.1, "weight of a mask that hides the object (released: 0)", ge=0)
    alone: float = benchkit.param(0.01, "weight of a trigger that needs the image (released: 0.01)", ge=0)

    def indexes(self, values: Tensor) -> Tensor:
        """Return how far below the median each quality lies, in scaled median absolute deviations."""
        return mad_index(values, "low")

    def judged(self, qualities: Tensor) -> Tensor:
        """Return the index of each quality, (K,): among all, or, if most labels fail and some do not, among these."""
        works = qualities < qualities.max()
        if not FEWEST <= int(works.sum()) < len(works) / 2:
            return self.indexes(qualities)
        indexes = torch.zeros_like(qualities)
        indexes[works] = self.indexes(qualities[works])
        return indexes

    def score(self, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return the index of the label with the best trigger, that trigger, and the outliers."""
        found = self.triggers(scene)
        indexes = self.judged(self.qualities(found, scene))
        best = int(indexes.argmax())
        return benchkit.Verdict(
            float(indexes.max()),
            images={"recovered trigger": found.masks[best] * found.patterns[best], "its mask": found.masks[best]},
            classes=self.outliers(indexes, scene),
        )

    def triggers(self, scene: benchkit.Scene) -> Restored:
        """Return the trigger of each label with the lowest loss."""
        model = scene.model.requires_grad_(requires_grad=False)
        labels = torch.arange(scene.classes, device=scene.device)
        parts = [self._search(some, model, scene) for some in labels.split(max(1, CHUNK // self.batch))]
        return Restored(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def _search(self, labels: Tensor, model: benchkit.Classifier, scene: benchkit.Scene) -> Restored:
        channels, height, width = scene.shape
        raw = [start((len(labels), count, height, width), scene) for count in (1, channels)]
        adam = torch.optim.Adam(raw, lr=self.lr, betas=(0.5, 0.9))
        least = torch.full((len(labels),), torch.inf, device=scene.device)
        kept = [unit(one.detach()) for one in raw]
        for _ in range(self.steps):
            rows = torch.randint(len(scene.clean), (self.batch,), generator=scene.rng)
            batch = scene.clean[rows.to(scene.clean.images.device)].to(scene.device)
            masks, patterns = (unit(one) for one in raw)
            losses = self.losses(masks, patterns, labels, batch, model)
            better = (losses.detach() < least)[:, None, None, None]
            kept = [torch.where(better, new.detach(), old) for new, old in zip((masks, patterns), kept, strict=True)]
            least = torch.minimum(least, losses.detach())
            adam.zero_grad()
            losses.sum().backward()
            adam.step()
        return Restored(*kept)

    def losses(
        self, masks: Tensor, patterns: Tensor, labels: Tensor, batch: benchkit.Split, model: benchkit.Classifier
    ) -> Tensor:
        """Return the loss of each label's trigger, float32 (K,).

        Args:
            masks: float32 (K, 1, H, W) in [0, 1].
            patterns: float32 (K, C, H, W) in [0, 1].
            labels: int64 (K,), where each trigger is to lead.
            batch: clean images.
            model: the suspect.
        """
        images = batch.images.float() / 255
        bare = (1 - masks)[:, None] * images
        count, each = len(labels), len(images)
        stamped = bare + (masks * patterns)[:, None]
        whole = torch.cat([stamped.flatten(0, 1), bare.flatten(0, 1), masks * patterns])
        logits = model(whole)
        wanted, true = labels.repeat_interleave(each), batch.labels.repeat(count)
        crossed = F.cross_entropy(logits, torch.cat([wanted, true, labels]), reduction="none")
        attack, hidden = (part.view(count, each).mean(1) for part in crossed[: 2 * count * each].split(count * each))
        beside = (1 - masks) * patterns
        large, outside = (_norms(one) for one in (masks, beside))
        pieces = variation(masks) + variation(beside)
        found: Tensor = (
            attack
            + self.large * large
            + self.outside * outside
            + self.scattered * pieces / masks[0].numel()
            + self.blocking * hidden
            + self.alone * crossed[2 * count * each :]
        )
        return found

    @torch.no_grad()
    def qualities(self, found: Restored, scene: benchkit.Scene) -> Tensor:
        """Return A of each label's trigger, float64 (K,); lower is better for the attacker."""
        images, labels = scene.clean.images.to(scene.device).float() / 255, scene.clean.labels.to(scene.device)
        rates = []
        for label, (mask, pattern) in enumerate(zip(found.masks, found.patterns, strict=True)):
            bare = (1 - mask) * images
            attack = (scene.model.logits(bare + mask * pattern).argmax(1) == label).double().mean()
            crop = (scene.model.logits(bare).argmax(1) == labels).double().mean()
            rates.append(torch.stack([attack, crop]))
        both = torch.stack(rates)
        earned = both.clamp(min=LEAST).log().sum(1)
        height, width = found.masks.shape[-2:]
        side = (height * width) ** 0.5
        size = (found.masks.double().flatten(1).sum(1) + 1) / side**2
        pieces = (variation((found.masks > 0.5).double()) + 1) / (side * (side - 1))
        quality = size.log() + pieces.log() - earned
        return torch.where(both[:, 0] < WORKS, quality.max(), quality).cpu()


class Restored(NamedTuple):
    """The trigger of each label: masks float32 (K, 1, H, W) and patterns float32 (K, C, H, W), both in [0, 1]."""

    masks: Tensor
    patterns: Tensor


def variation(images: Tensor) -> Tensor:
    """Return the sum of the squared differences of neighbours, down and across: (K, C, H, W) -> (K,)."""
    return sum((images.diff(dim=axis).square().flatten(1).sum(1) for axis in (2, 3)), images.new_zeros(len(images)))


def _norms(images: Tensor) -> Tensor:
    """Return ``|.|_1 + |.|_2^2`` over the number of values, of images (K, C, H, W) in [0, 1]: (K,)."""
    return (images + images.square()).flatten(1).mean(1)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer TABOR."""
    return [Tabor]
