"""ASSET: two opposed losses, on clean images and on suspects, after which poisons are hard for a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.halves import drawn_halves
from benchkit_plugins._shared.seeded import seeded
from torch import nn

import benchkit
from benchkit.ops.outliers import medcouple

if TYPE_CHECKING:
    from torch import Tensor

FAR = 2.0
"""Adjusted outlyingness above which an image of a batch is a suspect."""
HIDDEN = 128
"""Units of each of the two hidden layers of the network that tells batches apart."""


@dataclass(frozen=True)
class Asset(benchkit.CleanImages, benchkit.TrainingFilter):
    """Train a model to be undecided about clean images and wrong about suspects; drop the images it is wrong about.

    Pan et al. 2023. A new model passes over the training set. In each step, a small network learns to tell the batch
    from as many clean images, by the features of the victim; images of the batch whose output is an outlier (adjusted
    outlyingness for skewed data above 2, on the side of the batch) are suspects. Then the model takes one step down
    the variance of its logits of the clean images, minus the cross-entropy of the suspects. What clean images and
    suspects share cancels out. The score of a training image is its cross-entropy under the final model.

    Departures from the released code: the small network sees features relative to the mean of clean images of the same
    label, since an image with a wrong label may have the features of its true class; it stops early, before it knows
    the few clean images by heart, and its output is taken before the sigmoid, which hides how far out it is. The
    victim is in evaluation mode. Both losses are one step, whose batch statistics are not those of suspects alone. The
    threshold, in the release from a normal distribution fitted to the lower half of all scores, is a quantile over
    clean images: half of them are opposed to the batches, and the other half, which no step has seen, sets it. Rows
    are outlying on the side of the batches alone, where the release counts both sides.
    """

    name = "asset"
    paper = (
        "Pan et al., USENIX Security 2023, ASSET: Robust Backdoor Data Detection Across a Multiplicity of Deep "
        "Learning Paradigms"
    )
    needs = frozenset({"model"})

    epochs: int = benchkit.param(6, "passes over the training set (released: 1, over ten times as many images)", ge=1)
    batch: int = benchkit.param(128, "training images of a step, beside as many clean ones (released: 128)", ge=8)
    lr: float = benchkit.param(0.001, "learning rate of Adam (released: 0.0001)", gt=0)
    inner_steps: int = benchkit.param(20, "steps of the network that tells a batch apart (released: 100, twice)", ge=1)
    inner_lr: float = benchkit.param(0.0003, "learning rate of its Adam (released: 0.0001)", gt=0)
    fpr: float = benchkit.param(0.05, "share of clean images that may be dropped", gt=0, lt=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return the loss of each training image minus the threshold, float32 (N,)."""
        base, calm = drawn_halves(scene.clean)
        model = _Offset(self, scene, base).trained(train)
        threshold = _losses(model, calm).double().quantile(1 - self.fpr)
        return (_losses(model, train) - threshold).float()


class _Offset:
    """The two loops: which images are suspects, and the step that opposes them to clean ones."""

    def __init__(self, asset: Asset, scene: benchkit.Scene, base: benchkit.Split) -> None:
        self.asset, self.scene, self.base = asset, scene, base
        features = self._features(base)
        self.centres = class_means(features, base.labels, scene.classes)
        self.spread = (features - self.centres[base.labels]).std().clamp(min=1e-6)
        self.known = self._described(base)

    def trained(self, train: benchkit.Split) -> benchkit.Classifier:
        """Return the model after all passes, in eval mode."""
        model, described = self.scene.network(train).train(), self._described(train)
        adam = torch.optim.Adam(model.parameters(), self.asset.lr)
        for _ in range(self.asset.epochs):
            order = torch.randperm(len(train), generator=self.scene.rng)
            for drawn in order.tensor_split(math.ceil(len(train) / self.asset.batch)):
                rows = drawn.to(train.labels.device)
                clean = torch.randint(len(self.base), (len(rows),), generator=self.scene.rng).to(rows.device)
                suspects = rows[self._suspected(described[rows], self.known[clean])]
                adam.zero_grad()
                self._loss(model, self.base.images[clean], train[suspects]).backward()
                adam.step()
        return model.eval()

    def _loss(self, model: benchkit.Classifier, clean: Tensor, suspects: benchkit.Split) -> Tensor:
        logits = model(torch.cat([clean, suspects.images])).float()
        undecided: Tensor = logits[: len(clean)].var(1).mean()
        if not len(suspects):
            return undecided
        return undecided - F.cross_entropy(logits[len(clean) :], suspects.labels)

    def _suspected(self, batch: Tensor, clean: Tensor) -> Tensor:
        """Return whether rows (B, F) are told apart from clean ones (B', F) more surely than the others, bool (B,)."""
        net = self._teller(batch.shape[1])
        adam = torch.optim.Adam(net.parameters(), self.asset.inner_lr)
        seen = torch.cat([batch, clean])
        wanted = (torch.arange(len(seen), device=seen.device) < len(batch)).float()
        for _ in range(self.asset.inner_steps):
            adam.zero_grad()
            F.mse_loss(net(seen).squeeze(1).sigmoid(), wanted).backward()
            adam.step()
        with torch.no_grad():
            said: Tensor = net(batch)
            return outlyingness(said.squeeze(1)) > FAR

    def _teller(self, width: int) -> nn.Sequential:
        with seeded(self.scene.rng):
            layers = nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
            return nn.Sequential(*layers).to(self.scene.device)

    def _described(self, data: benchkit.Split) -> Tensor:
        """Return features of the victim relative to those of clean images of the same label, float32 (N, F)."""
        features = self._features(data)
        return (features - self.centres[data.labels.to(features.device)]) / self.spread

    def _features(self, data: benchkit.Split) -> Tensor:
        return self.scene.model.features(data.images).flatten(1).float()


def class_means(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean of each class, (K, F), of features (N, F); a class without images has the mean of all."""
    own = F.one_hot(labels, classes).to(features)
    counts = own.sum(0)[:, None]
    return torch.where(counts > 0, own.T @ features / counts.clamp(min=1), features.mean(0))


def outlyingness(values: Tensor) -> Tensor:
    """Return how far values are above their median, in units of the whisker for skewed data: (N,) -> (N,).

    Hubert and Van der Veeken (2008): the whisker ends at ``Q3 + 1.5 exp(3 MC) IQR`` with the medcouple MC at least 0,
    else at ``Q3 + 1.5 exp(4 MC) IQR``. Values below the median are negative.
    """
    low, middle, high = values.double().quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64).to(values.device))
    skew = medcouple(values.double())
    whisker = high + 1.5 * torch.exp(torch.where(skew >= 0, 3 * skew, 4 * skew)) * (high - low)
    found: Tensor = (values - middle) / (whisker - middle).clamp(min=1e-12)
    return found


def _losses(model: benchkit.Classifier, data: benchkit.Split) -> Tensor:
    logits = model.logits(data.images)
    return F.cross_entropy(logits, data.labels.to(logits.device), reduction="none")


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer ASSET."""
    return [Asset]
