"""NIC: an input whose activations, or their way from layer to layer, no clean image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.halves import halves
from benchkit_plugins._shared.oneclass import machine, outside
from benchkit_plugins._shared.softmax import fitted, too_many
from torch import nn

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 250
"""Images whose activations are in memory at a time."""


@dataclass(frozen=True)
class Nic(benchkit.InputDetector):
    """Learn from clean images what each layer's activations look like, and what they say of the class.

    Ma et al. 2019. The *value invariant* of a layer is a one-class support vector machine on its activations. For the
    *provenance invariant* each layer has a derived model, softmax regression from its activations to the label; a
    one-class machine learns the probabilities that the derived models of two layers in a row give together. A last
    machine learns from the decision values of all of these, and its own decides.

    Layers are the convolutions, and the linear layers but the last. Activations of a convolution are its means over
    four quarters of the image, then principal components (paper: of all, 5,000 of them). The released code gives its
    machines widths by hand, and never trains its derived models. One half of the clean images is learned from, the
    other sets the threshold: in so many dimensions a machine leaves far more new images outside than its ``nu`` says.
    """

    name = "nic"
    paper = "Ma et al., NDSS 2019, NIC: Detecting Adversarial Samples with Neural Network Invariant Checking"
    needs = frozenset({"model"})

    components: int = benchkit.param(32, "principal components of the activations of each layer", ge=1)
    nu: float = benchkit.param(0.1, "share of clean images that each machine may leave outside (released: 0.01, 0.1)",
                               gt=0, le=1)  # fmt: skip
    damping: float = benchkit.param(0.01, "weight of the L2 penalty of the derived models", gt=0)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse so many classes that the derived models cannot be fitted."""
        fault = too_many(classes, self.components)
        return fault or super().check(shape, classes)

    def fit(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the components, the derived models and the machines of all layers, and the joint machine."""
        known, _ = halves(scene.clean)
        labels = known.labels.to(scene.device)
        found: dict[str, Tensor] = {}
        for number, rows in enumerate(activations(scene.model, known.images)):
            found |= _named(f"{number} place", _components(rows, self.components))
            placed = _placed(rows, _part(found, f"{number} place"))
            found |= _named(f"{number} value", machine(placed, self.nu))
            found[f"{number} derived"] = fitted(_with_one(placed), labels, scene.classes, self.damping).float()
        told = self._told(known.images, found, scene)
        for number, (first, second) in enumerate(pairwise(told)):
            found |= _named(f"{number} provenance", machine(torch.cat([first[1], second[1]], 1), self.nu))
        values = self._values(told, found)
        # The joint machine's width is one for all: each decision value is measured in its own spread.
        found |= {"middle": values.mean(0), "spread": values.std(0).clamp(min=1e-6)}
        joint = machine((values - found["middle"]) / found["spread"], self.nu)
        return {name: one.cpu() for name, one in (found | _named("joint", joint)).items()}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that it did not learn from."""
        return self.score(halves(scene.clean)[1].images, scene)

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return how far outside of what clean images do each is, float32 (N,)."""
        found = {name: one.to(scene.device) for name, one in scene.fitted.items()}
        values = self._values(self._told(images, found, scene), found)
        return outside((values - found["middle"]) / found["spread"], _part(found, "joint"))

    def _told(self, images: Tensor, found: benchkit.Tensors, scene: benchkit.Scene) -> list[tuple[Tensor, Tensor]]:
        """Return for each layer its placed activations (N, d), and the probabilities of its derived model (N, K)."""
        told = []
        for number, rows in enumerate(activations(scene.model, images)):
            placed = _placed(rows, _part(found, f"{number} place"))
            derived = found[f"{number} derived"].to(placed.device)
            told.append((placed, (_with_one(placed) @ derived.T).softmax(1)))
        return told

    def _values(self, told: Sequence[tuple[Tensor, Tensor]], found: benchkit.Tensors) -> Tensor:
        """Return the decision values of all machines but the joint one, float32 (N, 2 layers - 1)."""
        own = [_outside(placed, found, f"{number} value") for number, (placed, _) in enumerate(told)]
        pairs = [
            _outside(torch.cat([first[1], second[1]], 1), found, f"{number} provenance")
            for number, (first, second) in enumerate(pairwise(told))
        ]
        return torch.stack([*own, *pairs], 1)


@torch.no_grad()
def activations(model: benchkit.Classifier, images: Tensor) -> list[Tensor]:
    """Return each layer's output of images uint8 (N, C, H, W), float32 (N, F): of convolutions, means of quarters."""
    layers = [one for one in model.net.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    layers = [one for one in layers if one is not model.head]
    seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}

    def keep(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        small = F.adaptive_avg_pool2d(output.float(), 2) if output.ndim == 4 else output.float()
        seen[layer].append(small.flatten(1))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        for part in images.split(BATCH):
            model(part.to(model.device))
    finally:
        for handle in handles:
            handle.remove()
    # In the order in which they ran; one that took no part, or ran several times, is none of the network's layers.
    return [torch.cat(parts) for parts in seen.values() if sum(map(len, parts)) == len(images)]


def _components(rows: Tensor, most: int) -> dict[str, Tensor]:
    """Return the centre of rows (n, F), and the axes (d, F) of their principal components, of variance 1."""
    centre = rows.mean(0)
    _, spreads, axes = torch.linalg.svd(rows - centre, full_matrices=False)
    count = max(1, min(most, int((spreads > 1e-5 * spreads[0].clamp(min=1e-12)).sum())))
    deviations = spreads[:count] / len(rows) ** 0.5
    return {"centre": centre, "axes": axes[:count] / deviations.clamp(min=1e-6)[:, None]}


def _placed(rows: Tensor, place: benchkit.Tensors) -> Tensor:
    return (rows - place["centre"]) @ place["axes"].T


def _with_one(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


def _outside(rows: Tensor, found: benchkit.Tensors, name: str) -> Tensor:
    return outside(rows, _part(found, name))


def _named(name: str, parts: benchkit.Tensors) -> dict[str, Tensor]:
    return {f"{name} {part}": one for part, one in parts.items()}


def _part(found: benchkit.Tensors, name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name} "): one for key, one in found.items() if key.startswith(f"{name} ")}


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer NIC."""
    return [Nic]
