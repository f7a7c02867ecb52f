"""The module bodies that ``benchkit new defense`` writes, one for each kind of defense."""

from __future__ import annotations

_DETECTOR = '''\
import torch
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.InputDetector):
    """Call inputs suspicious that hold hard edges (replace this by your score)."""

    name = "$name"
    paper = ""

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the largest step between neighbouring pixels, float32 (N,)."""
        levels = images.float()
        down = levels.diff(dim=2).abs().amax((1, 2, 3))
        return torch.maximum(down, levels.diff(dim=3).abs().amax((1, 2, 3)))
'''

_PURIFIER = '''\
import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.InputPurifier):
    """Blur every input with a box (replace this by your transformation)."""

    name = "$name"
    paper = ""
    # It holds no clean images: to read scene.clean, derive from benchkit.CleanImages too.

    radius: int = benchkit.param(1, "the box has 2 * radius + 1 pixels a side", ge=1)

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return blurred images: uint8 (N, C, H, W) -> the same."""
        side = 2 * self.radius + 1
        blurred = F.avg_pool2d(images.float(), side, 1, self.radius, count_include_pad=False)
        return blurred.round().to(torch.uint8)
'''

_FILTER = '''\
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.TrainingFilter):
    """Drop the images that lie farthest from the mean image of their label (replace this by your rule)."""

    name = "$name"
    paper = ""
    # It holds no clean images: to read scene.clean, derive from benchkit.CleanImages too.

    drop: float = benchkit.param(0.15, "share of the training set that is dropped", gt=0, lt=1)

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
        """Return a distance less its 1 - drop quantile, float32 (N,); above 0 is dropped."""
        pixels = train.images.float().flatten(1)
        sums = pixels.new_zeros(scene.classes, pixels.shape[1]).index_add(0, train.labels, pixels)
        counts = train.labels.bincount(minlength=scene.classes).clamp(min=1)
        distance = (pixels - (sums / counts[:, None])[train.labels]).norm(dim=1)
        rank = benchkit.share_of(1 - self.drop, len(train) - 1)
        return distance - distance.sort().values[rank]
'''

_TRAINING = '''\
import torch
import torch.nn.functional as F
from torch import Tensor

import benchkit


@dataclass(frozen=True)
class $cls(benchkit.RobustTraining):
    """Train with a bounded loss, which outliers move less (replace this by your method)."""

    name = "$name"
    paper = ""
    # It holds no clean images: to read scene.clean, derive from benchkit.CleanImages too.

    bound: float = benchkit.param(2.0, "losses above this count no more", gt=0)

    def train(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return a model trained with the benchmark's recipe and this loss."""
        return scene.fit(train, steering=Bounded(self.bound))


class Bounded(benchkit.Steering):
    """A cross-entropy that grows to ``bound`` and no further."""

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def loss(self, logits: Tensor, step: benchkit.Step) -> Tensor:
        """Return the loss of each image, float32 (B,)."""
        losses = F.cross_entropy(logits, step.labels, reduction="none")
        return self.bound * torch.tanh(losses / self.bound)
'''

_REPAIR = '''\
import benchkit


@dataclass(frozen=True)
class $cls(benchkit.CleanImages, benchkit.ModelRepair):
    """Fine-tune the victim on the clean hold-out (replace this by your method)."""

    name = "$name"
    paper = ""

    epochs: int = benchkit.param(5, "passes over the hold-out", ge=1)
    lr: float = benchkit.param(0.01, "learning rate", gt=0)

    def repair(self, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return the fine-tuned victim."""
        return scene.fit(scene.clean, start=scene.model, epochs=self.epochs, lr=self.lr)
'''

_AUDIT = '''\
import benchkit


@dataclass(frozen=True)
class $cls(benchkit.CleanImages, benchkit.ModelDetector):
    """Call a model backdoored whose head favours one class (replace this by your score)."""

    name = "$name"
    paper = ""
    # Numbers of its own, which each verdict holds; tables and pages show them with unit and direction.
    metrics = (benchkit.Metric("spread", about="deviation over mean of the classes' weights"),)

    limit: float = benchkit.param(3.0, "deviations above the mean at which a model is called backdoored")

    def score(self, scene: benchkit.Scene) -> benchkit.Verdict:
        """Return by how many deviations the heaviest class of the last layer exceeds the mean, and it."""
        weights = scene.model.head.weight.detach().norm(dim=1)
        deviations = (weights - weights.mean()) / weights.std().clamp(min=1e-6)
        return benchkit.Verdict(
            float(deviations.max()),
            metrics={"spread": float(weights.std() / weights.mean())},
            classes=(deviations > self.limit).nonzero().flatten().tolist(),
        )

    def flags_above(self, scene: benchkit.Scene) -> float:
        """Return ``limit``."""
        return self.limit
'''

DEFENSES = {
    "input-detector": _DETECTOR,
    "input-purifier": _PURIFIER,
    "training-filter": _FILTER,
    "robust-training": _TRAINING,
    "model-repair": _REPAIR,
    "model-detector": _AUDIT,
}
