"""Classifiers that are made of others, or of a function: ensembles, processing in front and behind, any callable."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NoReturn

import torch
from torch import Tensor, nn

from benchkit.errors import ContractError
from benchkit.models.classifier import Classifier

Vote = Literal["mean-logits", "mean-probabilities", "majority"]
Way = Callable[[Tensor], Tensor]


class Composite(Classifier):
    """The base of all classifiers that are not one network.

    ``logits`` works as for a network. What there is not one of raises ContractError: one sentence.

    Attributes:
        instead: what to ask instead; the end of that sentence.
    """

    instead: ClassVar[str] = "ask the models that it is made of"

    def __init__(self, device: torch.device | str, *, differentiable: bool) -> None:
        nn.Module.__init__(self)
        self.differentiable = differentiable
        self.register_buffer("home", torch.empty(0, device=device), persistent=False)
        self.eval()

    @abstractmethod
    def answer(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, K), of uint8 or float images on the device."""

    @property
    def device(self) -> torch.device:
        """Where logits are returned."""
        found: Any = self.home
        return torch.device(found.device)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float32 (N, K), differentiable in float images if ``differentiable``.

        Raises:
            ContractError: when the images require gradients and there are none.
        """
        if not self.differentiable and images.requires_grad and torch.is_grad_enabled():
            raise self.without("gradients")
        return self.answer(images)

    def without(self, what: str) -> ContractError:
        """Return the error that says what there is not."""
        return ContractError(f"a benchkit.{type(self).__name__} has no {what}: {self.instead}")

    def features(self, images: Tensor) -> Tensor:
        """Raise ContractError."""
        raise self.without("layer of features of its own")

    def normalised(self, images: Tensor) -> Tensor:
        """Raise ContractError."""
        raise self.without("normalisation of its own")

    @property
    def head(self) -> nn.Linear:
        """Raise ContractError."""
        raise self.without("last linear layer of its own")

    @property
    def last_conv(self) -> nn.Conv2d:
        """Raise ContractError."""
        raise self.without("last convolution of its own")

    def __getattr__(self, name: str) -> Any:
        if name in {"net", "mean", "std"}:
            raise self.without(f"{name} of its own")
        return super().__getattr__(name)


def _floats(images: Tensor) -> Tensor:
    """Return uint8 or float images as float32 in [0, 1]."""
    return images / 255 if images.dtype == torch.uint8 else images


class Ensemble(Composite):
    """Several classifiers that vote.

    - ``mean-logits``: the mean of their logits.
    - ``mean-probabilities``: the logarithm of the mean of their probabilities.
    - ``majority``: how many of them predict each class. Of equal numbers the smaller class wins. It has no gradients.

    It has no features, no head and no last convolution: each of ``models`` has its own.

    Args:
        models: at least one, of the same classes, on one device; they are kept, not copied.
        vote: how they vote.

    Raises:
        ContractError: for no model, or another word.
    """

    instead = "ask each of its models"

    def __init__(self, models: Sequence[Classifier], vote: Vote = "mean-logits") -> None:
        if not models or vote not in VOTES:
            raise ContractError(f"benchkit.Ensemble needs models and one of {', '.join(VOTES)}, got '{vote}'")
        differentiable = vote != "majority" and all(model.differentiable for model in models)
        super().__init__(models[0].device, differentiable=differentiable)
        self.members = nn.ModuleList(models)
        self.vote = vote

    @property
    def models(self) -> list[Classifier]:
        """The classifiers, in order."""
        return [model for model in self.members if isinstance(model, Classifier)]

    def answer(self, images: Tensor) -> Tensor:
        """Return the result of the vote, float32 (N, K)."""
        return VOTES[self.vote](torch.stack([model(images) for model in self.models]))


VOTES: dict[str, Way] = {
    "mean-logits": lambda logits: logits.mean(0),
    "mean-probabilities": lambda logits: logits.softmax(2).mean(0).clamp(min=1e-30).log(),
    "majority": lambda logits: nn.functional.one_hot(logits.argmax(2), logits.shape[2]).sum(0).float(),
}
"""How logits (M, N, K) of M models become those of an ensemble, (N, K)."""


class Preprocessed(Composite):
    """A classifier with something in front of it, behind it, or both.

    ``features`` are those of the inner model for the processed images. Without ``after``, ``head`` and ``last_conv``
    are the inner model's; with it, the last linear layer does not make the logits, so ``head`` is an error.

    Args:
        model: the inner model; it is kept, not copied.
        before: float32 images in [0, 1], (N, C, H, W), on the device of the model -> the same, of any size and range.
            The same images must give the same result: draw random numbers once, before. An ``nn.Module`` becomes part
            of the model; its weights are trained by ``scene.fit(data, start=...)``, too.
        after: logits float32 (N, K) -> (N, K).
        differentiable: False if a gradient cannot pass through ``before`` or ``after``.
    """

    instead = "ask its inner model"

    def __init__(
        self, model: Classifier, before: Way | None = None, after: Way | None = None, *, differentiable: bool = True
    ) -> None:
        super().__init__(model.device, differentiable=differentiable and model.differentiable)
        self.model, self.before, self.after = model, before, after

    def processed(self, images: Tensor) -> Tensor:
        """Return what the inner model is shown: float32 (N, C, H, W), or the images if nothing is in front."""
        if self.before is None:
            return images
        return self.before(_floats(images))

    def answer(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, K)."""
        logits: Tensor = self.model(self.processed(images))
        return logits if self.after is None else self.after(logits)

    def features(self, images: Tensor) -> Tensor:
        """Return the features of the inner model, float32 (N, F), in eval mode, without gradients, in batches."""
        return self._batched(images, lambda part: self.model.features(self.processed(part)))

    @property
    def head(self) -> nn.Linear:
        """Return the head of the inner model, unless ``after`` changes its output."""
        return self.model.head if self.after is None else self._no_head()

    @property
    def last_conv(self) -> nn.Conv2d:
        """Return the last convolution of the inner model."""
        return self.model.last_conv

    def _no_head(self) -> NoReturn:
        raise self.without("last linear layer that makes its logits")


class FromFunction(Composite):
    """Any function of images: nearest neighbours, a forest, a vote over crops.

    It has logits alone, and gradients if ``differentiable``; no features, no head, no last convolution.

    Args:
        function: float32 images in [0, 1], (N, C, H, W), on ``device`` -> logits, float (N, K). The same images must
            give the same result. ``logits`` calls it with at most a few thousand images at a time.
        device: where it works.
        differentiable: whether gradients pass through it.
    """

    instead = "it is a function of images, of which only the logits are known"

    def __init__(self, function: Way, device: torch.device | str, *, differentiable: bool = False) -> None:
        super().__init__(device, differentiable=differentiable)
        self.function = function

    def answer(self, images: Tensor) -> Tensor:
        """Return what the function returns, as float32."""
        return self.function(_floats(images)).float()
