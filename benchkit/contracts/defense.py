"""The contract of a Defense plugin: six kinds, which differ in their inputs and the time when they act."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.contracts.answers import VICTIM
from benchkit.contracts.thresholds import ARGMAX, allowed_fpr, fault
from benchkit.contracts.verdict import Verdict, plain
from benchkit.errors import ContractError
from benchkit.params.component import Component, param
from benchkit.protocol import cutoff_at
from benchkit.records.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Tensors
    from benchkit.contracts.scene import Scene
    from benchkit.contracts.shadows import Shadows


@dataclass(frozen=True)
class Defense(Component, ABC):
    """The base of the six kinds; plugins derive from a kind, not from this class.

    Class attributes:
        stage: when it acts, in words; set by the kind.
        needs: what it needs of the victim: ``model`` for ``scene.model`` (weights, features, gradients), ``logits`` for
            ``scene.logits(images)`` alone, ``labels`` for ``scene.labels(images)`` alone, ``train`` for its training
            set with whatever poisons are in it, ``scene.train``.
        kind: the kind's name; set by the kind.
        reads_steps: the shared steps that its cells read (``victim``, ``poison``, ``judge``, ``score``, ``audit``,
            ``retune``); set by the kind. ``judge`` holds the undefended victim's predictions, ``score`` an input
            detector's scores of clean images, ``audit`` a model detector's scores, ``retune`` what a repaired model is
            retuned with, where that is asked for.
        clean: share of the training set that it holds as clean images: 0 unless it derives from :class:`CleanImages`.
        labelled: False if it needs no labels of its clean images, ``scene.clean``; reading them is then an error.
        has_victim: whether it acts on a trained victim, which ``fit`` may learn from; set by the kind.
        metrics: numbers of its own that each :class:`benchkit.Verdict` has, besides those of its kind.
    """

    stage: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    needs: ClassVar[frozenset[str]] = frozenset()
    reads_steps: ClassVar[frozenset[str]] = frozenset({"judge"})
    has_victim: ClassVar[bool] = True
    metrics: ClassVar[tuple[Metric, ...]] = ()
    labelled: ClassVar[bool] = True
    # No annotation: a ClassVar of a kind would hide the parameter of the same name in a later base.
    clean = 0.0

    def prepare(self, scene: Scene) -> Tensors:
        """Learn everything that does not depend on the attack: runs once per dataset and seed, for all cells.

        The other methods get the tensors as ``scene.prepared``. Here the scene has no model and no ``fit``.
        """
        return {}

    def fit(self, scene: Scene) -> Tensors:
        """Learn what the other methods need of one victim: runs once per victim, and before all of them.

        They get the tensors as ``scene.fitted``. The scene is that of the other methods: ``scene.model`` if the defense
        declares it, ``scene.clean``, ``scene.prepared``, and ``scene.fit``, which trains classifiers. A defense without
        ``scene.model`` runs it once for all victims. A model detector runs it for each model that it judges. It cannot
        be overridden in a training filter or robust training: there is no victim yet.
        """
        return {}

    def asks_victim(self) -> bool:
        """Return whether it needs the victim, or what the victim predicts."""
        return not self.needs.isdisjoint(VICTIM)

    def asks_train(self) -> bool:
        """Return whether it needs the victim's training set. Raises ContractError where its kind cannot have it."""
        own = "train" in self.needs
        judges = "audit" in self.reads_steps
        if own and (judges or not self.has_victim):
            why = "judges models whose training sets nobody has" if judges else "is given the training set"
            raise ContractError(f"{self.name}, a {self.kind}, {why}: leave 'train' out of its needs")
        return own

    def fits(self) -> bool:
        """Return whether it learns from each victim.

        Raises:
            ContractError: if it overrides ``fit`` although it acts before there is a victim.
        """
        own = type(self).fit is not Defense.fit
        if own and not self.has_victim:
            raise ContractError(
                f"{self.name}.fit would never run: a defense of its kind ({self.kind}) acts before there is a victim, "
                "so learn in prepare(), or from the training set itself"
            )
        return own

    def other_datasets(self) -> tuple[str, ...]:
        """Return the datasets, as on the command line, whose training splits ``prepare`` gets as ``scene.others``."""
        return ()

    def shadows(self) -> Shadows | None:
        """Return the shadow models that ``prepare`` gets as ``scene.shadows``, or None."""
        return None

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this defense cannot run on such images, or None. Called before anything runs."""
        return None


@dataclass(frozen=True)
class CleanImages(Defense, ABC):
    """The base of defenses that hold clean images, ``scene.clean``; for others, reading them is an error.

    Input detectors include it. A defense of another kind that needs clean images also derives from it:
    ``class Mine(benchkit.CleanImages, benchkit.ModelRepair)``.
    """

    clean: float = param(0.05, "clean images the defender holds, as a share of the training set", gt=0, le=1)


@dataclass(frozen=True)
class Thresholded(CleanImages, ABC):
    """The base of defenses that score images, with a threshold from clean ones; it is not a kind.

    Class attributes:
        has_boundary: True if a score above 0 is the detector's own verdict, which allows ``threshold=argmax``.
    """

    has_boundary: ClassVar[bool] = False

    threshold: str = param(
        "fpr:0.05",
        "fpr:X (X false alarms on the clean hold-out), or argmax (score 0, where the detector has a boundary)",
        used_by_prepare=False,
        used_by_fit=False,
    )

    @abstractmethod
    def score(self, images: Tensor, scene: Scene) -> Tensor | Verdict:
        """Return one finite float per image, float32 (N,), higher = more suspicious; images uint8 (N, C, H, W).

        Of a :class:`benchkit.Verdict`, the record has what was said of the triggered test images, or on benign rows of
        the clean ones.
        """

    def calibration(self, scene: Scene) -> Tensor:
        """Return the scores of clean images, float (M,), that set the threshold: by default those of the hold-out."""
        scores: Tensor = plain(self.score(scene.clean.images, scene))
        return scores

    @property
    def allowed_fpr(self) -> float:
        """The X of ``threshold=fpr:X``. Raises SpecError for any other threshold."""
        return allowed_fpr(self.threshold)

    def cutoff(self, scene: Scene) -> float:
        """Return the score above which an image is flagged: the 1 - fpr quantile over ``calibration``, or 0."""
        if self.threshold == ARGMAX:
            return 0.0
        return cutoff_at(self.calibration(scene), self.allowed_fpr)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this detector cannot run on such images, or with such a threshold, or None."""
        return fault(self.threshold, self.has_boundary) or super().check(shape, classes)
