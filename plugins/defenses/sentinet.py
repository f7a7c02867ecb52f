"""SentiNet: a region that makes other images be classified the same way is a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.halves import drawn_halves

import benchkit
from benchkit.ops.gradcam import grad_cam

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32
"""Inputs whose mixtures with all carriers are in memory at a time."""


@dataclass(frozen=True)
class SentiNet(benchkit.InputDetector):
    """Paste the most salient region of an input on clean images, and see how many follow it.

    Chou et al. 2020. The region is where the Grad-CAM map of the predicted class is largest: the share ``region`` of
    the pixels. *Fooled* is the share of clean carriers that are classified as the input is once its region is pasted on
    them. *Confidence* is the mean largest probability of carriers whose same pixels are noise instead: a region that
    merely hides the carriers leaves the model unsure. Clean images give the largest *fooled* for each confidence: a
    parabola through the maximum of each bin of confidence, 0.02 wide. The score is *fooled* minus the parabola.

    One half of the clean images gives the parabola, the other the threshold. The paper moves the parabola upwards until
    all clean points are below it, and finds further regions by segmentation; both ports leave that out, as this does.
    It looks for triggers in one place. A faint one all over the image is found only where a region of it works alone:
    nothing of ``add``, which is planted so that it needs all of it; ``blend`` on ``scenes`` has an AUROC of 99.9. The
    map is of the last convolution: in a residual network of one branch, without what is added to it.
    """

    name = "sentinet"
    paper = "Chou et al., IEEE S&P Workshops 2020, SentiNet: Detecting Localized Universal Attacks"
    needs = frozenset({"model"})
    labelled = False

    carriers: int = benchkit.param(16, "clean images that regions are pasted on (paper: 100; two passes each)", ge=2)
    region: float = benchkit.param(0.15, "share of the pixels that a region has", gt=0, lt=1)
    width: float = benchkit.param(0.02, "width of the bins of confidence", gt=0, le=1)

    def fit(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the carriers, the noise, and the coefficients of the parabola, lowest order first."""
        known, _ = drawn_halves(scene.clean)
        chosen = torch.randperm(len(known), generator=scene.rng)[: self.carriers].sort().values
        noise = torch.randint(256, scene.shape, generator=scene.rng).to(torch.uint8)
        kept = {"carriers": known.images[chosen.to(known.images.device)], "noise": noise.to(known.images.device)}
        others = torch.ones(len(known), dtype=torch.bool)
        others[chosen] = False
        rest = known.images[others.to(known.images.device)]
        fooled, confidence = self._points(rest if len(rest) else known.images, kept, scene)
        return kept | {"parabola": _parabola(fooled, confidence, self.width)}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that gave no parabola."""
        return self.score(drawn_halves(scene.clean)[1].images, scene)

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return how many more carriers each image's region fools than clean regions do, float32 (N,)."""
        fooled, confidence = self._points(images, scene.fitted, scene)
        powers = confidence[:, None] ** torch.arange(3, device=confidence.device)
        return fooled - powers @ scene.fitted["parabola"].to(confidence.device)

    def _points(self, images: Tensor, kept: benchkit.Tensors, scene: benchkit.Scene) -> tuple[Tensor, Tensor]:
        """Return the shares of carriers that follow each image, and their confidence under noise, float32 (N,)."""
        carriers, noise = (kept[name].to(scene.device) for name in ("carriers", "noise"))
        fooled, confidence = [], []
        for some in images.to(scene.device).split(BATCH):
            said = scene.model.logits(some).argmax(1)
            inside = self.regions(some, said, scene.model)[:, None, None]
            mixed = torch.where(inside, some[:, None], carriers)
            hidden = torch.where(inside, noise, carriers)
            answers = scene.model.logits(mixed.flatten(0, 1)).argmax(1).view(len(some), -1)
            fooled.append((answers == said[:, None]).float().mean(1))
            sure = scene.model.logits(hidden.flatten(0, 1)).softmax(1).amax(1)
            confidence.append(sure.view(len(some), -1).float().mean(1))
        return torch.cat(fooled), torch.cat(confidence)

    def regions(self, images: Tensor, said: Tensor, model: benchkit.Classifier) -> Tensor:
        """Return the most salient pixels of images, bool (N, H, W): exactly the share ``region`` of each."""
        maps = grad_cam(model, images, said, model.last_conv).flatten(1)
        count = max(1, round(self.region * maps.shape[1]))
        found = torch.zeros_like(maps, dtype=torch.bool).scatter_(1, maps.topk(count, dim=1).indices, value=True)
        return found.view(-1, *images.shape[-2:])


def _parabola(fooled: Tensor, confidence: Tensor, width: float) -> Tensor:
    """Return the least-squares parabola through the largest *fooled* of each bin of confidence, float32 (3,)."""
    bins = (confidence / width).long()
    there = bins.unique()
    best = torch.stack([fooled[bins == one].amax() for one in there]).double()
    middle = (there.double() + 0.5) * width
    powers = middle[:, None] ** torch.arange(3, device=middle.device)
    # With fewer than three bins many parabolas fit; the pseudo-inverse takes the flattest.
    found: Tensor = torch.linalg.pinv(powers) @ best
    return found.float()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer SentiNet."""
    return [SentiNet]
