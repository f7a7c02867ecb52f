"""The six kinds of Defense, told apart by what they see and when they act; each is measured in its own way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.api import CleanImages, Defense
from benchkit.params import param
from benchkit.scene import Scene, Split
from benchkit.thresholds import ARGMAX, allowed_fpr, fault

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.models import Classifier


@dataclass(frozen=True)
class Thresholded(CleanImages, ABC):
    """The base of defenses that score images and draw a line, by their clean ones; itself no kind.

    Class attributes:
        natural: True where a score above 0 is the detector's own verdict, so that ``threshold=argmax`` is allowed.
    """

    natural: ClassVar[bool] = False

    threshold: str = param(
        "fpr:0.05",
        "fpr:X (X false alarms on the clean hold-out), or argmax (score 0, where the detector has a boundary)",
        prepares=False,
    )

    @abstractmethod
    def score(self, images: Tensor, scene: Scene) -> Tensor:
        """Return one finite float per image, float32 (N,), higher = more suspicious; images uint8 (N, C, H, W)."""

    def calibration(self, scene: Scene) -> Tensor:
        """Return scores of clean images, float (M,), that set the threshold: those of the hold-out by default."""
        return self.score(scene.clean.images, scene)

    @property
    def allowed_fpr(self) -> float:
        """The X of ``threshold=fpr:X``. Raises SpecError for any other threshold."""
        return allowed_fpr(self.threshold)

    def cutoff(self, scene: Scene) -> float:
        """Return the score above which an image is flagged: the 1 - fpr quantile over ``calibration``, or 0."""
        if self.threshold == ARGMAX:
            return 0.0
        return float(self.calibration(scene).double().quantile(1 - self.allowed_fpr))

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this detector cannot run on such images, or with such a threshold, or None."""
        return fault(self.threshold, self.natural) or super().check(shape, classes)


@dataclass(frozen=True)
class InputDetector(Thresholded, ABC):
    """Scores single inputs at inference time; higher is more suspicious."""

    stage: ClassVar[str] = "inference"
    kind: ClassVar[str] = "input detector"


@dataclass(frozen=True)
class InputPurifier(Defense, ABC):
    """Changes every input at inference time so that triggers stop working."""

    stage: ClassVar[str] = "inference"
    kind: ClassVar[str] = "input purifier"
    measured_with: ClassVar[frozenset[str]] = frozenset({"victim", "judge"})

    @abstractmethod
    def purify(self, images: Tensor, scene: Scene) -> Tensor:
        """Return cleaned images: uint8 (N, C, H, W) -> the same shape and dtype."""


@dataclass(frozen=True)
class TrainingFilter(Defense, ABC):
    """Drops suspicious rows from the training set; the victim is then retrained on the rest."""

    stage: ClassVar[str] = "before training"
    kind: ClassVar[str] = "training filter"
    measured_with: ClassVar[frozenset[str]] = frozenset({"poison", "judge"})

    @abstractmethod
    def suspicion(self, train: Split, scene: Scene) -> Tensor:
        """Return one finite float per training image, float32 (N,); above 0 means drop."""


@dataclass(frozen=True)
class RobustTraining(Defense, ABC):
    """Trains a model on a possibly poisoned set without learning the backdoor."""

    stage: ClassVar[str] = "training"
    kind: ClassVar[str] = "robust training"
    measured_with: ClassVar[frozenset[str]] = frozenset({"poison", "judge"})

    @abstractmethod
    def train(self, train: Split, scene: Scene) -> Classifier:
        """Return a trained model (use ``scene.fit``)."""


@dataclass(frozen=True)
class ModelRepair(CleanImages, ABC):
    """Removes the backdoor from a trained victim."""

    stage: ClassVar[str] = "after training"
    kind: ClassVar[str] = "model repair"
    measured_with: ClassVar[frozenset[str]] = frozenset({"victim", "judge"})
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    @abstractmethod
    def repair(self, scene: Scene) -> Classifier:
        """Return the repaired model; ``scene.model`` is the defender's own copy and may be changed."""


@dataclass(frozen=True)
class ModelDetector(CleanImages, ABC):
    """Says whether a trained model holds a backdoor."""

    stage: ClassVar[str] = "audit"
    kind: ClassVar[str] = "model detector"
    measured_with: ClassVar[frozenset[str]] = frozenset({"audit"})
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    @abstractmethod
    def score(self, scene: Scene) -> float:
        """Return one finite number for ``scene.model``, higher = more likely backdoored."""

    @abstractmethod
    def cutoff(self, scene: Scene) -> float:
        """Return the score above which a model is called backdoored."""
