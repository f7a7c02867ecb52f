"""NIC: an input whose activations, or their way from layer to layer, no clean image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.halves import drawn_halves
from benchkit_plugins._shared.oneclass import distance, machine, outside
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

    Activations are what convolutions and linear layers are given, all but the first, which is given the image; the
    model's own probabilities stand for a derived model of the last. Of maps they are the means of ``cells`` by
    ``cells`` parts, then principal components (paper: of all values, 5,000 of them). The released code gives its
    machines widths by hand, and never trains its derived models. One half of the clean images is learned from, the
    other sets the threshold: in so many dimensions a machine leaves far more new images outside than its ``nu`` says.
    The joint machine learns from images that the others have learned, too, so that most new images are outside of it:
    its zero is no boundary.
    """

    name = "nic"
    paper = "Ma et al., NDSS 2019, NIC: Detecting Adversarial Samples with Neural Network Invariant Checking"
    needs = frozenset({"model"})

    cells: int = benchkit.param(2, "parts along each side of a map, whose means are seen (paper: all values)", ge=1)
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
        known, _ = drawn_halves(scene.clean)
        labels = known.labels.to(scene.device)
        found: dict[str, Tensor] = {}
        for number, rows in enumerate(activations(scene.model, known.images, self.cells)[0]):
            found |= _named(f"{number} place", _components(rows, self.components))
            own = _placed(rows, _part(found, f"{number} place"))
            found |= _named(f"{number} value", machine(own, self.nu))
            found[f"{number} derived"] = fitted(_with_one(own), labels, scene.classes, self.damping).float()
        placed, said = self._told(known.images, found, scene)
        for number, pair in enumerate(pairwise(said)):
            found |= _named(f"{number} provenance", machine(torch.cat(pair, 1), self.nu))
        found = {name: one.to(scene.device) for name, one in found.items()}  # machines are fitted on the CPU
        values = self._values(placed, said, found)
        # The joint machine's width is one for all: each decision value is measured in its own spread.
        found |= {"middle": values.mean(0), "spread": values.std(0).clamp(min=1e-6)}
        joint = machine((values - found["middle"]) / found["spread"], self.nu)
        return {name: one.cpu() for name, one in (found | _named("joint", joint)).items()}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that it did not learn from."""
        return self.score(drawn_halves(scene.clean)[1].images, scene)

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return how far outside of what clean images do each is, float32 (N,)."""
        found = {name: one.to(scene.device) for name, one in scene.fitted.items()}
        values = self._values(*self._told(images, found, scene), found)
        return distance((values - found["middle"]) / found["spread"], _part(found, "joint"))

    def _told(
        self, images: Tensor, found: benchkit.Tensors, scene: benchkit.Scene
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return each layer's placed activations (N, d), and what derived models say (N, K), last the model itself."""
        rows, own = activations(scene.model, images, self.cells)
        placed = [_placed(one, _part(found, f"{number} place")) for number, one in enumerate(rows)]
        derived = [found[f"{number} derived"].to(own.device) for number in range(len(rows))]
        said = [(_with_one(one) @ weights.T).softmax(1) for one, weights in zip(placed, derived, strict=True)]
        return placed, [*said, own]

    def _values(self, placed: Sequence[Tensor], said: Sequence[Tensor], found: benchkit.Tensors) -> Tensor:
        """Return the decision values of all machines but the joint one, float32 (N, 2 layers)."""
        values = [_outside(one, found, f"{number} value") for number, one in enumerate(placed)]
        pairs = [torch.cat(pair, 1) for pair in pairwise(said)]
        ways = [_outside(one, found, f"{number} provenance") for number, one in enumerate(pairs)]
        return torch.stack([*values, *ways], 1)


@torch.no_grad()
def activations(model: benchkit.Classifier, images: Tensor, cells: int) -> tuple[list[Tensor], Tensor]:
    """Return what layers are given of images uint8 (N, C, H, W), and the model's probabilities, float32 (N, K).

    Returns of each layer but the first float32 (N, F), of maps the means of parts, in the order in which they run.
    """
    seen: dict[nn.Module, list[Tensor]] = {}

    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        shown = given[0].float()
        if shown.ndim == 4:
            shown = F.adaptive_avg_pool2d(shown, (min(cells, shown.shape[2]), min(cells, shown.shape[3])))
        seen.setdefault(layer, []).append(shown.flatten(1))

    layers = [one for one in model.net.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        said = [model(part.to(model.device)).float().softmax(1) for part in images.split(BATCH)]
    finally:
        for handle in handles:
            handle.remove()
    # One that took no part, or ran several times, is none of the network's layers.
    found = [torch.cat(parts) for parts in seen.values() if sum(map(len, parts)) == len(images)]
    return found[1:] or found, torch.cat(said)


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
