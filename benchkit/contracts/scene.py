"""The Scene: the input of one party, attacker or defender, with exactly what its threat model allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from benchkit.contracts.absent import FITS, FITTED, OTHERS, PREPARED, SHADOWS
from benchkit.contracts.steering import Fit
from benchkit.errors import ContractError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchkit.contracts.answers import Query
    from benchkit.contracts.data import Split, Tensors
    from benchkit.contracts.steering import Optimizer, Sam, Steering
    from benchkit.models.classifier import Classifier


class Fitter(Protocol):
    """Trains classifiers as the benchmark does: what stands behind ``Scene.fit``."""

    def fit(self, data: Split, how: Fit | None = None, *, rng: torch.Generator) -> Classifier:
        """Train on ``data``; one number is drawn from ``rng``, and everything random follows from it."""

    def epochs_for(self, images: int) -> float:
        """Return how many passes the recipe makes over so many images."""

    def network(self, data: Split, *, rng: torch.Generator) -> Classifier:
        """Return an untrained classifier for ``data``; one number is drawn from ``rng``, and seeds its weights."""


@dataclass(frozen=True)
class Scene:
    """Everything that one party (attacker or defender) may use, without trigger, target, mask or test set.

    Attributes that a stage does not have raise ContractError when they are used.

    Attributes:
        classes: number of classes K.
        shape: (C, H, W) of every image.
        device: the device of tensors.
        held: the clean labelled images, read as ``clean``: an attacker's training set or a defender's hold-out; None
            for a defense without clean images.
        rng: a seeded CPU generator; all of a plugin's randomness comes from it.
        prepared: the result of the component's own ``prepare``, in every other method but an attack's ``draw``; of an
            attack also what it drew, and at test time what its ``train`` learned.
        fitted: the result of a defense's own ``fit`` for this victim, in the methods that run after it.
        others: in ``prepare``, the training splits of the datasets that a defense requested, by their spec.
        shadows: in ``prepare``, the shadow models that a defense requested, by number, in eval mode.
        rate: the value of ``poison_rate``, or None if there is none.
        level: the value of ``strength``, or None if there is none.
        known: the value of ``train``, or None if there is none.
        answers: what the victim may be asked, by name.
    """

    classes: int
    shape: tuple[int, int, int]
    device: torch.device
    held: Split | None
    rng: torch.Generator
    prepared: Tensors = field(default_factory=lambda: PREPARED)
    rate: float | None = None
    granted: Classifier | None = field(default=None, repr=False)
    trainer: Fitter | None = field(default=None, repr=False)
    others: Mapping[str, Split] = field(default_factory=lambda: OTHERS, repr=False)
    shadows: Sequence[Classifier] = field(default_factory=lambda: SHADOWS, repr=False)
    fitted: Tensors = field(default_factory=lambda: FITTED)
    level: float | None = None
    known: Split | None = field(default=None, repr=False)
    answers: Mapping[str, Query] = field(default_factory=dict, repr=False)

    @property
    def poison_rate(self) -> float:
        """The share of the whole training set that an attacker may poison.

        Raises ContractError in ``prepare`` and ``draw``, whose result all rates share, in ``benchkit spectrum``, which
        has no rate, and for defenders.
        """
        if self.rate is None:
            raise ContractError(
                "scene.poison_rate is for attacks, but not in prepare() or draw(), whose result all rates share, nor "
                "for benchkit spectrum: use it in poison(), train() or stamp() of a run, or declare a parameter"
            )
        return self.rate

    @property
    def strength(self) -> float:
        """How strong an attack's stamp is to be: 1 in training, its ``test_strength`` on test images.

        Raises ContractError in ``prepare`` and ``draw``, whose result both share, and for defenders.
        """
        if self.level is None:
            raise ContractError(
                "scene.strength is for attacks, but not in prepare() or draw(), whose result training and test share: "
                "use it in stamp(), control(), poison() or train()"
            )
        return self.level

    @property
    def clean(self) -> Split:
        """The clean labelled images: an attacker's training set, or a defender's hold-out.

        Raises ContractError for a defense that does not derive from ``benchkit.CleanImages``.
        """
        if self.held is None:
            raise ContractError(
                "this defense used scene.clean but holds no clean images; derive it from benchkit.CleanImages too: "
                "class Mine(benchkit.CleanImages, benchkit.TrainingFilter)"
            )
        return self.held

    @property
    def model(self) -> Classifier:
        """The model: the victim (for a defender) or a clean model (for an attacker, in prepare, poison and train).

        It is a separate copy. Raises ContractError unless the component's ``needs`` or kind grants it, and in methods
        that do not have it.
        """
        if self.granted is None:
            raise ContractError(
                "this component used scene.model; declare it: needs = frozenset({'model'}), and use it in prepare(), "
                "poison() or train() of an attack, or in the methods of a defense after prepare()"
            )
        return self.granted

    @property
    def train(self) -> Split:
        """The victim's training set, poisons included, for a defense that declares it; nothing marks the poisons.

        Raises ContractError for all others. Training filters and robust training get it as an argument.
        """
        if self.known is None:
            raise ContractError(
                "this component used scene.train, the victim's training set; a defense that acts on a victim declares "
                "it: needs = frozenset({'train'}), and has it in fit() and in the methods after it"
            )
        return self.known

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return the victim's logits, float32 (N, K), of images uint8 or float in [0, 1], (N, C, H, W).

        For defenses that need no more of the victim. Raises ContractError unless ``needs`` has ``logits`` or ``model``.
        """
        return self._asked("logits", images)

    def labels(self, images: torch.Tensor) -> torch.Tensor:
        """Return the classes that the victim predicts, int64 (N,), of images uint8 or float in [0, 1], (N, C, H, W).

        Raises ContractError unless ``needs`` has ``labels``, ``logits`` or ``model``.
        """
        return self._asked("labels", images)

    def _asked(self, what: str, images: torch.Tensor) -> torch.Tensor:
        if what not in self.answers:
            raise ContractError(
                f"this component used scene.{what}(); a defense declares it: needs = frozenset({{'{what}'}}), and uses "
                "it in the methods after prepare()"
            )
        return self.answers[what](images)

    def fit(
        self,
        data: Split,
        *,
        start: Classifier | None = None,
        epochs: float | None = None,
        lr: float | None = None,
        optimizer: Optimizer | None = None,
        sam: Sam | None = None,
        weights: Tensor | None = None,
        steering: Steering | None = None,
    ) -> Classifier:
        """Train a classifier with the benchmark's own recipe and return it, in eval mode.

        Batch size, augmentation and schedule of the learning rate are always those of the recipe.

        Args:
            data: the training images, at least two.
            start: continue with a copy of this model instead of a new one. Weights that do not require gradients stay
                as they are.
            epochs: passes over ``data``, fractions allowed; by default the number of the recipe.
            lr: learning rate at the start; by default that of the optimizer.
            optimizer: ``recipe``: that of the recipe, with its learning rate. ``sgd``: Nesterov momentum 0.9, weight
                decay 5e-4, learning rate 0.01. ``adam``: learning rate 0.001. Or a function ``make(weights, lr)`` that
                returns an optimizer of ``torch.optim``. By default ``recipe``, with ``start`` ``sgd``.
            sam: sharpness-aware minimisation with this optimizer.
            weights: float (N,), at least 0, of the images of ``data``: each loss is multiplied by the weight of its
                image before the mean is taken.
            steering: what the method itself does in each step.

        Raises:
            ContractError: for invalid settings, or where the scene has no trainer.
            BenchkitError: if the loss is not finite.
        """
        if self.trainer is None:
            raise ContractError(f"scene.fit {FITS}")
        return self.trainer.fit(data, Fit(start, epochs, lr, optimizer, sam, weights, steering), rng=self.rng)

    def epochs_for(self, images: int) -> float:
        """Return the number of epochs of the benchmark's recipe for this number of images."""
        if self.trainer is None:
            raise ContractError(f"scene.epochs_for {FITS}")
        return self.trainer.epochs_for(images)

    def network(self, data: Split | None = None) -> Classifier:
        """Return a new, untrained classifier of the victim's architecture, in eval mode.

        Its weights are drawn from ``rng``. For components with a training loop of their own; ``fit`` needs no network.

        Args:
            data: images like those of the training, for the mean and the deviation of its inputs; default: ``clean``.
        """
        if self.trainer is None:
            raise ContractError(f"scene.network {FITS}")
        data = self.held if data is None else data
        if data is None:
            raise ContractError(
                "scene.network() scales its inputs as images ask for: give it some, scene.network(train)"
            )
        return self.trainer.network(data, rng=self.rng)
