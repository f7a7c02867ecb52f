"""Beatrix: features of an input co-activate in a way that clean images of its class do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.halves import drawn_halves

import benchkit

if TYPE_CHECKING:
    from torch import Tensor, nn


BATCH = 250
"""Images whose Gram matrices are in memory at a time."""
FEWEST = 3
"""Clean images of a class whose MADs are not 0 all (the paper has 30)."""


@dataclass(frozen=True)
class Beatrix(benchkit.InputDetector):
    """Compare the Gram matrices of an input's features with those of clean images of the class it is classified as.

    Ma et al. 2023. With F (channels, pixels) the last convolution's output, the Gram matrix of order p is
    ``(F^p (F^p)^T)^(1/p)``, both powers by element, the root with its sign. For each class, every entry of every order
    has clean bounds: median -+ ``width`` * MAD. An entry beyond them deviates by its distance to the bound over the
    bound's size; the score is the mean over entries and orders, for the class that the model predicts. Entries whose
    clean MAD is 0 (dead channels) are left out, since any distance over almost nothing would decide. A class with fewer
    than three such images is judged by the bounds of all images, and its scores are divided by what new clean images
    of any class deviate from these.

    Half of the clean images give the bounds, by their true label, the others the threshold: images that bounds were
    made from deviate less than new ones. The scores of a class are divided by the mean of these others, so that one
    threshold serves all classes (the paper has one for each); each of these by the mean of the rest. In a residual
    network the last convolution is one branch, without what is added to it.
    """

    name = "beatrix"
    paper = "Ma et al., NDSS 2023, The Beatrix Resurrections: Robust Backdoor Detection via Gram Matrices"
    needs = frozenset({"model"})

    orders: int = benchkit.param(8, "largest order of the Gram matrices (released code: 8)", ge=1, le=16)
    width: float = benchkit.param(10.0, "bounds of an entry: its median and so many MADs to either side", gt=0)
    channels: int = benchkit.param(64, "channels that are looked at, drawn at random where there are more", ge=1)

    def fit(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the ``bounds`` that judge each class (K,), and what judges by them.

        ``low`` and ``high`` (B, orders, entries), channels ``looked`` at, and the ``usual`` deviation (B,) of new clean
        images. Where a class has too few, the last bounds are those of all images.
        """
        count = scene.model.last_conv.out_channels
        looked = torch.randperm(count, generator=scene.rng)[: self.channels].sort().values
        known, others = drawn_halves(scene.clean)
        found = {"looked": looked, **self._bounds(known, looked, scene)}
        deviations, judged = self._deviations(others.images, found, scene)
        parts = [deviations[judged == one] for one in range(len(found["low"]))]
        usual_of = [part if len(part) >= FEWEST else deviations for part in parts]
        if (found["bounds"] < 0).any():  # few images are judged by the last bounds here: what any deviates from them
            by_last = {**found, "bounds": torch.full_like(found["bounds"], -1)}
            usual_of[-1] = self._deviations(others.images, by_last, scene)[0]
        usual = torch.stack([part.mean() for part in usual_of])
        least = usual.mean() / 100 + 1e-12
        # A new image is no part of the mean that it is divided by; nor may these be of theirs.
        sums = torch.stack([part.sum() for part in usual_of])
        counts = torch.tensor([len(part) for part in usual_of], device=sums.device)
        without = (sums[judged] - deviations) / (counts[judged] - 1).clamp(min=1)
        return found | {"usual": usual.clamp(min=least), "others": deviations / without.clamp(min=least)}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that gave no bounds."""
        return scene.fitted["others"]

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the deviation of each image from clean images of its predicted class, float32 (N,)."""
        deviations, judged = self._deviations(images, scene.fitted, scene)
        return deviations / scene.fitted["usual"][judged]

    def _bounds(self, clean: benchkit.Split, looked: Tensor, scene: benchkit.Scene) -> dict[str, Tensor]:
        """Return bounds, and which of them judge each class; those of entries to leave out are infinite."""
        low: list[Tensor] = []
        high: list[Tensor] = []
        own = [clean.images[clean.labels == label] for label in range(scene.classes)]
        enough = [len(images) >= FEWEST for images in own]  # every MAD of one or two images is 0
        places = torch.tensor(enough).long().cumsum(0) - 1
        judges = [images for images, one in zip(own, enough, strict=True) if one]
        for images in judges if all(enough) else [*judges, clean.images]:
            grams = torch.cat([part for part, _ in self._grams(images, looked, scene.model)])
            middle = grams.median(0).values
            mad = (grams - middle).abs().median(0).values
            spread = torch.where(mad > 0, self.width * mad, torch.inf)
            low.append(middle - spread)
            high.append(middle + spread)
        bounds = torch.where(torch.tensor(enough), places, -1)
        return {"bounds": bounds, "low": torch.stack(low), "high": torch.stack(high)}

    def _deviations(self, images: Tensor, found: benchkit.Tensors, scene: benchkit.Scene) -> tuple[Tensor, Tensor]:
        """Return the mean relative distances to the bounds of predicted classes, float32 (N,), and which these are."""
        parts, answers = [], []
        for grams, said in self._grams(images, found["looked"], scene.model):
            judged = found["bounds"].to(said.device)[said] % len(found["low"])
            low, high = (found[side].to(scene.device)[judged] for side in ("low", "high"))
            beyond = _relative(low - grams, low) + _relative(grams - high, high)
            parts.append(beyond.flatten(1).sum(1) / low.isfinite().flatten(1).sum(1).clamp(min=1))
            answers.append(judged)
        return torch.cat(parts), torch.cat(answers)

    def _grams(self, images: Tensor, looked: Tensor, model: benchkit.Classifier) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield upper triangles of Gram matrices, float32 (B, orders, entries), and predicted labels, by batches."""
        for maps, said in feature_maps(model, images):
            chosen = maps[:, looked.to(maps.device)].flatten(2)
            yield torch.stack([gram(chosen, order) for order in range(1, self.orders + 1)], 1), said


def gram(maps: Tensor, order: int) -> Tensor:
    """Return the upper triangle of ``(F^p (F^p)^T)^(1/p)``: float (B, C, pixels) -> (B, C (C + 1) / 2)."""
    # G of a F is a^2 times that of F, so that each image's largest value may be 1: the 16th power of 300 is infinite.
    largest = maps.abs().flatten(1).amax(1).clamp(min=1e-12)[:, None, None]
    power = (maps / largest) ** order
    product = power @ power.transpose(1, 2)
    rooted = product.sign() * product.abs() ** (1 / order) * largest.square()
    rows, columns = torch.triu_indices(maps.shape[1], maps.shape[1], device=maps.device)
    return rooted[:, rows, columns]


@torch.no_grad()
def feature_maps(model: benchkit.Classifier, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the last convolution's output, float32 (B, C, H, W), and predicted labels, int64 (B,), of one pass."""
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output.float())

    handle = model.last_conv.register_forward_hook(keep)
    try:
        for part in images.split(BATCH):
            said = model(part.to(model.device)).argmax(1)
            yield seen.pop(), said
    finally:
        handle.remove()


def _relative(distance: Tensor, bound: Tensor) -> Tensor:
    """Return how far values are beyond a bound, over its size; 0 within it and where there is no bound."""
    return torch.where(distance > 0, distance / bound.abs().clamp(min=1e-6), 0.0)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer Beatrix."""
    return [Beatrix]
