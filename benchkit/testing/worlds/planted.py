"""What all planted worlds are: data, a victim and a trigger, and how a defense is measured in them: as in a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from benchkit.contracts import checks
from benchkit.contracts.given import given_to, held_by
from benchkit.contracts.kinds import (
    InputDetector,
    InputPurifier,
    ModelDetector,
    ModelRepair,
    RobustTraining,
    TrainingFilter,
)
from benchkit.contracts.scene import Scene
from benchkit.errors import BenchkitError
from benchkit.measure.input_detector import clean_scores
from benchkit.measure.measure import audit, fitted, measure
from benchkit.measure.population import Verdicts
from benchkit.measure.truth import CleanScores, GroundTruth
from benchkit.protocol import generator

if TYPE_CHECKING:
    from benchkit.contracts.data import Poisoned, Split
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.scene import Fitter
    from benchkit.models.classifier import Classifier

CPU = torch.device("cpu")
FOUND = 0.9
"""Least AUROC, BDR, recall and remaining C-Acc of a defense that finds a planted backdoor."""
LEFT = 0.2
"""Largest ASR that a defense may leave to have removed it."""


@dataclass(frozen=True)
class PlantedWorld:
    """A backdoor that is known, and everything that a defense of any kind is measured with. Cheap to make.

    Attributes:
        name: the world and its parameters, such as ``patch(target=2)``.
        target: the class t that the backdoor leads to.
        classes: number of classes K.
        model: the victim; in ``benign``, a model without a backdoor.
        benign_model: the same model without what is planted.
        train: the clean training set.
        poisoned: the training set with poisons, and the mask of these rows; without poisons in ``benign``.
        holdout: the clean images that a defender holds.
        test: clean test images.
        trigger: puts the trigger on images: uint8 (N, C, H, W) -> the same.
        trainer: what stands behind ``scene.fit`` and ``scene.network``.
        benign: whether nothing is planted.
        seed: from which all random numbers follow, also those of a defense.
    """

    name: str
    target: int
    classes: int
    model: Classifier = field(repr=False)
    benign_model: Classifier = field(repr=False)
    train: Split = field(repr=False)
    poisoned: Poisoned = field(repr=False)
    holdout: Split = field(repr=False)
    test: Split = field(repr=False)
    trigger: Callable[[Tensor], Tensor] = field(repr=False)
    trainer: Fitter = field(repr=False)
    benign: bool = False
    seed: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.test.images.shape[1:]
        return channels, height, width

    @functools.cached_property
    def victims(self) -> Split:
        """The test images of other classes than the target, with their true labels."""
        return self.test[self.test.labels != self.target]

    @functools.cached_property
    def triggered(self) -> Tensor:
        """The images of ``victims`` with the trigger, uint8 (M, C, H, W)."""
        return self.trigger(self.victims.images.clone())

    def asr(self, model: Classifier | None = None) -> float:
        """Return the share of triggered images that a model, by default the victim, takes for the target."""
        answers = (model or self.model).logits(self.triggered).argmax(1)
        return float((answers == self.target).double().mean())

    def clean_accuracy(self, model: Classifier | None = None) -> float:
        """Return the accuracy of a model, by default the victim, on clean test images."""
        answers = (model or self.model).logits(self.test.images).argmax(1)
        return float((answers == self.test.labels).double().mean())

    def scene(self, defense: Defense, purpose: str = "scene", **more: Any) -> Scene:
        """Return what the methods of a defense have after ``prepare`` and ``fit``, as in a real run.

        Args:
            defense: whose methods; its ``prepare`` and ``fit`` are run.
            purpose: what the random numbers follow from, beside the seed of the world.
            **more: other fields of the scene.
        """
        ready = self._ready(defense)
        learned = self._learned(defense, ready)
        return self._scene(defense, purpose, **{"prepared": ready, "fitted": learned, **more})

    def report(self, defense: Defense) -> dict[str, float]:
        """Return the metrics of a defense, measured as a run measures its cell (docs/protocol.md).

        Raises:
            BenchkitError: if the defense refuses the images of this world.
            ContractError: if it violates its contract.
        """
        return self._measured(defense, self._scenes(defense))

    def _scenes(self, defense: Defense) -> Callable[..., Scene]:
        """Return what makes the scenes of a defense that has prepared."""
        refusal = defense.check(self.shape, self.classes)
        if refusal:
            raise BenchkitError(f"{defense} cannot run in {self.name}: {refusal}")
        return functools.partial(self._scene, defense, prepared=self._ready(defense))

    def _measured(self, defense: Defense, scene_for: Callable[..., Scene]) -> dict[str, float]:
        before: dict[str, Any] = {}
        if isinstance(defense, ModelDetector):  # it fits each model that it judges
            before = self._audits(defense, scene_for)
        else:
            fit = scene_for("fit")
            scene_for = functools.partial(scene_for, fitted=fitted(defense, fit) if defense.fits() else {})
        if isinstance(defense, InputDetector):
            images = self.test.images
            before = {"scored": CleanScores(images, *clean_scores(defense, scene_for, images))}
        found, _ = measure(defense, scene_for, self.truth(**before))
        return dict(found.metrics)

    def found(self, defense: Defense) -> bool:
        """Return whether a defense finds the backdoor, or removes it.

        An input detector finds it with an AUROC and a BDR of 0.9, a filter with a recall of 0.9, a model detector if it
        flags the victim. The other kinds remove it if they leave an ASR of at most 0.2 and a C-Acc of 0.9.

        Raises:
            BenchkitError: in a benign world, where there is nothing to find.
        """
        if self.benign:
            raise BenchkitError(f"nothing is planted in {self.name}: ask for false_alarms")
        if isinstance(defense, ModelDetector):  # what it says of the benign model is not asked
            return _judged(defense, self._scenes(defense)).flagged() == 1
        metrics = self._asked(defense)
        if isinstance(defense, InputDetector):
            return min(metrics["auroc"], metrics["bdr"]) >= FOUND
        if isinstance(defense, TrainingFilter):
            return metrics["recall"] >= FOUND
        return metrics["asr"] <= LEFT and metrics["c_acc"] >= FOUND

    def false_alarms(self, defense: Defense) -> float:
        """Return what a defense does to what is clean, 0 to 1.

        The share of clean test images that an input detector flags, of clean training rows that a filter drops, or of
        benign models (there is one) that a model detector flags; for the other kinds, the C-Acc that is lost.
        """
        metrics = self._asked(defense)
        if isinstance(defense, InputPurifier | RobustTraining | ModelRepair):
            return max(0.0, self.clean_accuracy() - metrics["c_acc"])
        return metrics["fpr"]

    def _asked(self, defense: Defense) -> dict[str, float]:
        """Return what ``report`` does, but nothing is trained on what a filter keeps: a model that is there stands in.

        Which rows a filter drops does not follow from the model that is trained afterwards.
        """

        def without_training(purpose: str, **more: Any) -> Scene:
            scene = scene_for(purpose, **more)
            return replace(scene, trainer=trained) if purpose == "retrain" else scene

        trained = cast("Fitter", SimpleNamespace(fit=lambda _, *how, **more: self.benign_model))
        scene_for = self._scenes(defense)
        return self._measured(defense, without_training if isinstance(defense, TrainingFilter) else scene_for)

    def truth(self, **more: Any) -> GroundTruth:
        """Return what only a measurement may see, with other fields if they are given."""
        rows = (self.test.labels != self.target).nonzero().squeeze(1)[: 0 if self.benign else None]
        clean, triggered = self.test.images[rows], self.triggered[: len(rows)]
        wanted = torch.full_like(rows, self.target)
        given = {"train": self.poisoned, "judged": self._answers(clean, triggered), **more}
        given |= {"names": tuple(map(str, range(self.classes))), "targets": () if self.benign else (self.target,)}
        return GroundTruth(self.benign, self.test, rows, triggered, wanted, clean, **given)

    def _audits(self, defense: ModelDetector, scene_for: Callable[..., Scene]) -> dict[str, Verdicts]:
        """Return what a model detector says of the victim and of the benign model."""
        models = (
            {"audited": self.model} if self.benign else {"audited": self.model, "benign_audited": self.benign_model}
        )
        return {name: _judged(defense, functools.partial(scene_for, model=one)) for name, one in models.items()}

    def _answers(self, clean: Tensor, triggered: Tensor) -> dict[str, Tensor]:
        asked = {"clean": self.test.images, "triggered": triggered, "control": clean}
        said = {name: _labels(self.model, images) for name, images in asked.items()}
        return said | {f"benign_{name}": _labels(self.benign_model, asked[name]) for name in ("clean", "triggered")}

    def _ready(self, defense: Defense) -> dict[str, Tensor]:
        """Return what a defense prepares, with shadow models of the world's own trainer."""
        held, wanted = held_by(defense, self.holdout), defense.shadows()
        scenes = [self._bare(held, "shadow", str(number)) for number in range(wanted.count if wanted else 0)]
        splits = [wanted.split(number, scene) for number, scene in enumerate(scenes)] if wanted else []
        shadows = [self.trainer.fit(split, rng=scene.rng) for split, scene in zip(splits, scenes, strict=True)]
        others = dict.fromkeys(defense.other_datasets(), self.train)
        made = defense.prepare(self._bare(held, "prepare", shadows=shadows, others=others))
        return checks.tensors(defense.name, made)

    def _learned(self, defense: Defense, ready: dict[str, Tensor]) -> dict[str, Tensor]:
        return fitted(defense, self._scene(defense, "fit", prepared=ready)) if defense.fits() else {}

    def _scene(
        self, defense: Defense, purpose: str, *, grant: bool = False, model: Classifier | None = None, **more: Any
    ) -> Scene:
        victim = (model or self.model).copy() if grant or defense.asks_victim() else None
        asked = given_to(defense, victim, self.poisoned.data, grant=grant)
        return self._bare(held_by(defense, self.holdout), purpose, trainer=self.trainer, **asked, **more)

    def _bare(self, held: Split | None, *purpose: str, **more: Any) -> Scene:
        rng = generator(self.seed, "defender", *purpose)
        return Scene(self.classes, self.shape, CPU, held, rng, **more)


def _judged(defense: ModelDetector, scene_for: Callable[..., Scene]) -> Verdicts:
    """Return a model detector's score and threshold for one model."""
    said, threshold = audit(defense, scene_for)
    return Verdicts([said.score], [threshold], [said])


def _labels(model: Classifier, images: Tensor) -> Tensor:
    return model.logits(images).argmax(1) if len(images) else torch.empty(0, dtype=torch.int64)
