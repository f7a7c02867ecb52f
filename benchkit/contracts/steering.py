"""How a training is steered: its settings, what a method sees of each step, and which parts of a step it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchkit.errors import ContractError, did_you_mean

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from benchkit.models.classifier import Classifier

    Optimizer = str | Callable[[list[torch.nn.Parameter], float], torch.optim.Optimizer]
    """A name in ``BY_NAME``, or ``make(weights, lr)``, which returns an optimizer of ``torch.optim``."""

BY_NAME = ("recipe", "sgd", "adam")
"""Optimizers of :class:`Fit` that have a name."""


@dataclass(frozen=True)
class Step:
    """One step of a training. It cannot be changed; hooks return another one, made by :meth:`replaced`.

    Everything is on the device of the training. ``images``, ``labels`` and ``rows`` are of one length, the batch B.

    Attributes:
        rows: int64 (B,), which rows of the data given to ``scene.fit`` the images are.
        images: uint8 (B, C, H, W). After augmentation also float32 in [0, 1], if the recipe rotates images or a method
            mixes them.
        labels: int64 (B,), or float32 (B, K) with a probability of each class.
        model: the classifier that is trained, in training mode, with gradients.
        number: 0 for the first step.
        total: how many steps the training has.
        epoch: passes over the data before this step, a fraction: ``number`` / steps of one pass.
        smoothing: the label smoothing of the recipe.
        weight_of: float32 (N,), the weight of every row of the data, or None.
    """

    rows: Tensor
    images: Tensor
    labels: Tensor
    model: Classifier
    number: int
    total: int
    epoch: float
    smoothing: float = 0.0
    weight_of: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.labels) == len(self.rows):
            raise ContractError(
                f"a step has {len(self.images)} images, {len(self.labels)} labels and {len(self.rows)} rows: "
                "step.replaced needs rows, too, where a batch grows or shrinks"
            )

    def replaced(
        self, *, images: Tensor | None = None, labels: Tensor | None = None, rows: Tensor | None = None
    ) -> Step:
        """Return this step with other images, labels or rows.

        Raises:
            ContractError: if they are not of one length.
        """
        given: dict[str, Any] = {"images": images, "labels": labels, "rows": rows}
        return replace(self, **{name: one for name, one in given.items() if one is not None})

    @property
    def floats(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        import torch

        return self.images / 255 if self.images.dtype == torch.uint8 else self.images

    @property
    def weights(self) -> Tensor | None:
        """The weights of the images, float32 (B,), or None if ``scene.fit`` was given none."""
        return None if self.weight_of is None else self.weight_of[self.rows]

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of the losses (B,), each times the weight of its image; a scalar stays as it is.

        Raises:
            ContractError: if there are weights, and not one loss for each image.
        """
        weights = self.weights
        if weights is None:
            return losses.mean()
        if losses.shape != weights.shape:
            raise ContractError(
                f"scene.fit was given weights, and a loss of shape {tuple(losses.shape)} for {len(weights)} images: "
                "return one loss for each image"
            )
        return (losses * weights).mean()


class Steering:
    """What a method changes in each step of a training; derive from it, and override what differs.

    ``scene.fit(data, steering=...)`` calls, for each batch, ``batch``, then augments, then calls ``inputs``, and then
    ``gradients``, after which the optimizer acts. ``gradients`` calls ``objective``, which calls ``loss``. All of them
    are called with gradients on and with the model in training mode. The object may keep state, and draws random
    numbers from ``scene.rng``. With ``sam``, ``gradients`` is called twice in each step.
    """

    def batch(self, step: Step) -> Step:
        """Return the step to augment: ``step.images`` are uint8, as in the data, and stay uint8."""
        return step

    def inputs(self, step: Step) -> Step:
        """Return the step to train on: ``step.images`` are augmented, and not yet normalised."""
        return step

    def loss(self, logits: Tensor, step: Step) -> Tensor:
        """Return the loss of each image, float32 (B,), or their mean; by default the recipe's cross-entropy.

        Args:
            logits: float32 (B, K), of ``step.images``.
            step: the step that ``inputs`` returned.
        """
        import torch.nn.functional as F

        way = "mean" if step.weight_of is None else "none"
        return F.cross_entropy(logits, step.labels, label_smoothing=step.smoothing, reduction=way)

    def objective(self, step: Step) -> Tensor:
        """Return what ``loss`` returns; override it for an objective of more than the logits of one forward pass."""
        return self.loss(step.model(step.images), step)

    def gradients(self, step: Step) -> Tensor:
        """Leave gradients in the weights of ``step.model``, which has none, and return the loss, a scalar.

        By default the gradients of ``step.mean(self.objective(step))``. Override it for gradients that are clipped,
        projected or noisy.
        """
        loss = step.mean(self.objective(step))
        loss.backward()
        return loss.detach()


@dataclass(frozen=True)
class Sam:
    """Sharpness-aware minimisation: the gradient is taken where the loss is largest within a radius of the weights.

    That point is ``w + rho g / |g|`` (Foret et al., ICLR 2021, section 3); with ``adaptive``, it is ``w + rho T^2 g /
    |T g|`` with ``T = |w|`` (Kwon et al., ICML 2021, section 3), whose radii are larger: FT-SAM (Zhu et al., ICCV 2023)
    uses 2. Each step costs twice as much. Running statistics of batch normalisation are those of the first pass.

    Attributes:
        rho: the radius, at least 0; 0 changes nothing.
        adaptive: scale each weight by its size.
    """

    rho: float = 0.05
    adaptive: bool = False

    def __post_init__(self) -> None:
        if not self.rho >= 0:
            raise ContractError(f"benchkit.Sam needs a radius of 0 or more, got rho={self.rho}")


@dataclass(frozen=True)
class Fit:
    """The settings of one training; see :meth:`benchkit.Scene.fit`, whose keywords they are."""

    start: Classifier | None = None
    epochs: float | None = None
    lr: float | None = None
    optimizer: Optimizer | None = None
    sam: Sam | None = None
    weights: Tensor | None = None
    steering: Steering | None = None

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault:
            raise ContractError(f"scene.fit {fault}")

    @property
    def method(self) -> Any:
        """The optimizer: as given, or the recipe's for a new model and ``sgd`` for one to continue with."""
        return self.optimizer or ("recipe" if self.start is None else "sgd")

    def _fault(self) -> str | None:
        """Return what is wrong, or None."""
        if isinstance(self.optimizer, str) and self.optimizer not in BY_NAME:
            return (
                f"has no optimizer '{self.optimizer}'{did_you_mean(self.optimizer, BY_NAME)}: give one of "
                f"{', '.join(BY_NAME)}, or a function that returns one of torch.optim"
            )
        if callable(self.optimizer) and self.lr is None:
            return "needs lr= beside an optimizer of your own"
        if self.epochs is not None and not self.epochs > 0:
            return f"needs epochs above 0, got {self.epochs:g}"
        if self.steering is not None and not isinstance(self.steering, Steering):
            return f"needs a benchkit.Steering as steering, got {type(self.steering).__name__}"
        return None if self.start is None else self.start.why_not_trainable()
