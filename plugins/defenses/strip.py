"""STRIP: an input whose prediction does not change under superimposed images has a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import torch

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_BYTES = 2**23
"""Superimposed images per batch, in bytes: large enough to be efficient, small enough for any machine."""

HALVES = {"add": (2, 2), "half": (2, 1), "mean": (1, 1)}
"""Weights of input and overlay, in halves, so that blending is exact integer arithmetic."""


@dataclass(frozen=True)
class Strip(benchkit.InputDetector):
    """Superimpose random clean images on the input and measure the entropy of the predictions.

    The score is minus the mean Shannon entropy (bits, log2) of the model's softmax over ``overlays`` copies of the
    input, each with another hold-out image added to it; 0 is the most suspicious score, ``-log2(classes)`` the least.
    The threshold is that of the paper: the ``1 - fpr`` quantile of a normal distribution fitted to the scores of the
    hold-out. A hold-out image is never superimposed on itself.

    The paper's value of ``blend`` is ``add`` (x + b, clipped). ``overlays`` is reduced (paper: 100), because every
    overlay is one more forward pass per input.
    """

    name = "strip"
    paper = "Gao et al., ACSAC 2019, STRIP: A Defence Against Trojan Attacks on Deep Neural Networks"
    needs = frozenset({"logits"})
    labelled = False

    overlays: int = benchkit.param(
        16, "clean images superimposed on each input (paper: 100; each costs one forward pass)", ge=1
    )
    blend: str = benchkit.param(
        "add", "x + b clipped (paper), x + b/2 clipped, or (x + b)/2", choices=("add", "half", "mean")
    )

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return minus the mean entropy in bits, float32 (N,), of images uint8 (N, C, H, W)."""
        chosen = torch.randint(len(scene.clean), (len(images), self.overlays), generator=scene.rng)
        return -self._entropies(images, chosen, scene)

    def cutoff(self, scene: benchkit.Scene) -> float:
        """Return ``mean + std * ppf(1 - allowed fpr)`` of the hold-out's scores (paper, section 5.2)."""
        held = len(scene.clean)
        shifts = torch.randint(1, max(held, 2), (held, self.overlays), generator=scene.rng)
        others = (torch.arange(held)[:, None] + shifts) % held
        scores = -self._entropies(scene.clean.images, others, scene).double()
        return float(scores.mean() + scores.std(correction=0) * NormalDist().inv_cdf(1 - self.allowed_fpr))

    def _entropies(self, images: Tensor, chosen: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the mean entropy of each image under overlays ``chosen`` (N, overlays) from the hold-out."""
        step = max(1, CHUNK_BYTES // (images[0].numel() * self.overlays)) if len(images) else 1
        parts = [
            _entropy(scene.logits(self._superimpose(some, scene.clean.images[rows.to(images.device)])))
            for some, rows in zip(images.split(step), chosen.split(step), strict=True)
        ]
        return torch.cat(parts).view(len(images), self.overlays).mean(dim=1)

    def _superimpose(self, images: Tensor, overlays: Tensor) -> Tensor:
        """Blend images (B, C, H, W) with overlays (B, n, C, H, W) into uint8 (B * n, C, H, W)."""
        ours, theirs = HALVES[self.blend]
        doubled = ours * images.short()[:, None] + theirs * overlays.short()
        return ((doubled + 1) >> 1).clamp(max=255).to(torch.uint8).flatten(0, 1)


def _entropy(logits: Tensor) -> Tensor:
    """Return the Shannon entropy in bits of each row's softmax."""
    log_p = logits.float().log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1) / torch.log(log_p.new_tensor(2.0))


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer STRIP."""
    return [Strip]
