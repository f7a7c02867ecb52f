"""The six kinds of defenses, which differ in their inputs and the time when they act."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.contracts.defense import Defense, Thresholded

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Split
    from benchkit.contracts.scene import Scene
    from benchkit.contracts.verdict import Verdict
    from benchkit.models.classifier import Classifier


@dataclass(frozen=True)
class InputDetector(Thresholded, ABC):
    """Scores single inputs at inference time; higher is more suspicious."""

    stage: ClassVar[str] = "inference"
    kind: ClassVar[str] = "input detector"
    reads_steps: ClassVar[frozenset[str]] = frozenset({"judge", "score"})


@dataclass(frozen=True)
class InputPurifier(Defense, ABC):
    """Changes every input at inference time so that triggers stop working."""

    stage: ClassVar[str] = "inference"
    kind: ClassVar[str] = "input purifier"
    reads_steps: ClassVar[frozenset[str]] = frozenset({"victim", "judge"})

    @abstractmethod
    def purify(self, images: Tensor, scene: Scene) -> Tensor | Verdict:
        """Return cleaned images: uint8 (N, C, H, W) -> the same shape and dtype.

        Of a :class:`benchkit.Verdict`, the record has what was said of the triggered test images, or on benign rows of
        the clean ones. Records show some images before and after in any case.
        """


@dataclass(frozen=True)
class TrainingFilter(Defense, ABC):
    """Drops suspicious images from the training set; the victim is then retrained on the rest."""

    stage: ClassVar[str] = "before training"
    kind: ClassVar[str] = "training filter"
    has_victim: ClassVar[bool] = False
    reads_steps: ClassVar[frozenset[str]] = frozenset({"poison", "judge"})

    @abstractmethod
    def suspicion(self, train: Split, scene: Scene) -> Tensor | Verdict:
        """Return one finite float per training image, float32 (N,); above 0 means drop."""


@dataclass(frozen=True)
class RobustTraining(Defense, ABC):
    """Trains a model on a possibly poisoned set without learning the backdoor."""

    stage: ClassVar[str] = "training"
    kind: ClassVar[str] = "robust training"
    has_victim: ClassVar[bool] = False
    reads_steps: ClassVar[frozenset[str]] = frozenset({"poison", "judge"})

    @abstractmethod
    def train(self, train: Split, scene: Scene) -> Classifier | Verdict:
        """Return a trained model (use ``scene.fit``)."""


@dataclass(frozen=True)
class ModelRepair(Defense, ABC):
    """Removes the backdoor from a trained victim."""

    stage: ClassVar[str] = "after training"
    kind: ClassVar[str] = "model repair"
    reads_steps: ClassVar[frozenset[str]] = frozenset({"victim", "judge", "retune"})
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    @abstractmethod
    def repair(self, scene: Scene) -> Classifier | Verdict:
        """Return the repaired model; ``scene.model`` is the defender's own copy and may be changed."""

    def own_epochs(self) -> float:
        """Return the passes over ``scene.clean`` that it trains in loops of its own, beside ``scene.fit``.

        With ``--retune``, plain fine-tuning for as many passes as both together is measured beside the repair.
        """
        return 0.0


@dataclass(frozen=True)
class ModelDetector(Defense, ABC):
    """Decides whether a trained model has a backdoor."""

    stage: ClassVar[str] = "audit"
    kind: ClassVar[str] = "model detector"
    reads_steps: ClassVar[frozenset[str]] = frozenset({"audit"})
    needs: ClassVar[frozenset[str]] = frozenset({"model"})

    @abstractmethod
    def score(self, scene: Scene) -> float | Verdict:
        """Return one finite number for ``scene.model``, higher = more likely backdoored."""

    @abstractmethod
    def flags_above(self, scene: Scene) -> float:
        """Return the score above which a model is called backdoored."""

    def false_alarm_rate(self, classes: int) -> float | None:
        """Return the share of clean models of so many classes that it flags by chance alone, or None if unknown."""
        return None
