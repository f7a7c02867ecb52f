"""Training: the dataset stays on the device as one uint8 tensor, and is augmented batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchkit.errors import BenchkitError, ContractError
from benchkit.models.classifier import Classifier
from benchkit.ops.images import statistics
from benchkit.training.augment import augmented, to_device
from benchkit.training.muon import Muon

if TYPE_CHECKING:
    from benchkit.contracts.data import BatchFn, LossFn, Split
    from benchkit.training.recipes import Recipe

Step = Callable[["float | Tensor"], None]
"""Updates the weights from their gradients, with learning rates multiplied by the argument; for the stacked weights of
K models, a float32 tensor (K,) gives each model its own factor.
"""


@dataclass(frozen=True)
class Trainer:
    """Trains classifiers of one architecture with one recipe.

    Attributes:
        recipe: the training recipe.
        build: returns a new network; its random weights are drawn from torch's global generator, which the trainer
            seeds (and restores).
        device: the device of the training.
    """

    recipe: Recipe
    build: Callable[[], nn.Module]
    device: torch.device

    def fit(
        self,
        data: Split,
        *,
        rng: torch.Generator,
        start: Classifier | None = None,
        epochs: float | None = None,
        lr: float | None = None,
        loss: LossFn | None = None,
        on_batch: BatchFn | None = None,
    ) -> Classifier:
        """Train on ``data`` and return the classifier in eval mode; see :meth:`benchkit.Scene.fit`.

        Args:
            data: uint8 images and labels, at least two.
            rng: a CPU generator; one number is drawn from it and seeds the whole training.
            start: fine-tune a copy of this classifier, by SGD with Nesterov momentum 0.9, weight decay 5e-4
                and the recipe's schedule, instead of training a new one.
            epochs: passes over ``data``, fractions allowed; by default the number of the recipe.
            lr: learning rate; by default that of the recipe, with ``start`` 0.01.
            loss: replaces the loss of the recipe; its mean is minimised.
            on_batch: changes each batch before augmentation.

        Raises:
            BenchkitError: if the loss is not finite.
        """
        data = trainable(data).to(self.device)
        with seeded(draw_seed(rng)):
            model, fixed = self.fresh(data) if start is None else (start.copy(), [])
            step = self._scratch(model, lr) if start is None else _fine_tune(model, lr)
            run = Run(model, self.recipe, step, loss or self._loss, on_batch)
            with frozen(fixed):
                run(data, self.epochs_for(len(data)) if epochs is None else epochs)
        return model.eval()

    def epochs_for(self, images: int) -> float:
        """Return how many passes the recipe makes over so many images."""
        return self.recipe.epochs_for(images)

    def network(self, data: Split, *, rng: torch.Generator) -> Classifier:
        """Return an untrained classifier; see :meth:`benchkit.Scene.network`."""
        with seeded(draw_seed(rng)):
            return self.fresh(data.to(self.device))[0]

    def fresh(self, data: Split) -> tuple[Classifier, list[Tensor]]:
        """Return a new classifier for ``data``, drawn from torch's global generator, and its fixed parameters."""
        model = Classifier(self.build(), *statistics(data.images))
        fixed = []
        if hasattr(model.net, "init_from"):
            few = torch.randperm(len(data))[:1000].to(self.device)
            fixed = model.net.init_from(model.normalised(data.images[few]))
        return model, fixed

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=self.recipe.smoothing)

    def _scratch(self, model: Classifier, lr: float | None) -> Step:
        recipe = self.recipe
        return OPTIMIZERS[recipe.optimizer](model, recipe.lr if lr is None else lr, **recipe.tuning())


@dataclass(frozen=True)
class Run:
    """One training: a model, its update step, and its loss."""

    model: Classifier
    recipe: Recipe
    step: Step
    loss: LossFn
    on_batch: BatchFn | None

    def __call__(self, data: Split, epochs: float) -> None:
        """Train for this number of epochs; raise BenchkitError if the loss is not finite."""
        batches, total = steps_per_epoch_and_total(self.recipe, len(data), epochs)
        self.model.train()
        losses = data.images.new_zeros((), dtype=torch.float32)
        for done, rows in enumerate(shuffled(len(data), batches, total)):
            losses += self._batch(data, to_device(rows, data.labels.device), self.recipe.factor(done / total))
            if (done + 1) % batches == 0 or done + 1 == total:
                require_finite(losses, done + 1, total)

    def _batch(self, data: Split, rows: Tensor, factor: float) -> Tensor:
        images, labels = data.images.index_select(0, rows), data.labels[rows]
        if self.on_batch is not None:
            images, labels = self.on_batch(images, labels, rows)
        loss = self.loss(self.model(augmented(images, self.recipe)), labels).mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        self.step(factor)
        return loss.detach()


def trainable(data: Split) -> Split:
    """Return ``data``; raise ContractError if it has fewer than two images."""
    if len(data) < 2:
        raise ContractError(f"training needs at least two images, got {len(data)}")
    return data


def draw_seed(rng: torch.Generator) -> int:
    """Draw the seed of a whole training."""
    return int(torch.randint(2**62, (), generator=rng))


def steps_per_epoch_and_total(recipe: Recipe, images: int, epochs: float) -> tuple[int, int]:
    """Return the number of batches of one pass over this number of images, and of the whole training."""
    batches = max(1, round(images / recipe.batch_for(images)))
    return batches, max(1, round(epochs * batches))


def require_finite(losses: Tensor, done: int, total: int) -> None:
    """Raise BenchkitError unless the sum of all losses so far is finite."""
    if not bool(losses.isfinite()):
        raise BenchkitError(f"training diverged by step {done} of {total}: lower the learning rate")


def shuffled(images: int, batches: int, total: int, rng: torch.Generator | None = None) -> Iterator[Tensor]:
    """Yield ``total`` batches of indices, ``batches`` per pass; their sizes differ by at most one.

    The order is drawn from ``rng``, a CPU generator; by default torch's global one.
    """
    order: tuple[Tensor, ...] = ()
    for done in range(total):
        if done % batches == 0:
            order = torch.randperm(images, generator=rng).tensor_split(batches)
        yield order[done % batches]


def _fine_tune(model: nn.Module, lr: float | None) -> Step:
    return _sgd(model, 0.01 if lr is None else lr, 0.9, 5e-4, nesterov=True)


def _sgd(model: nn.Module, lr: float, momentum: float, weight_decay: float, nesterov: bool = False) -> Step:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    sgd = torch.optim.SGD(weights, lr, momentum, weight_decay=weight_decay, nesterov=nesterov, foreach=True)
    return lambda factor: _stepped(sgd, lr, factor)


def _adam(model: nn.Module, lr: float) -> Step:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    adam = torch.optim.Adam(weights, lr, fused=True)
    return lambda factor: _stepped(adam, lr, factor)


def _stepped(optimizer: torch.optim.Optimizer, lr: float, factor: float | Tensor) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr if isinstance(factor, Tensor) else lr * factor
    if not isinstance(factor, Tensor):
        optimizer.step()
        return
    before = [weight.clone() for weight in _weights(optimizer)]
    optimizer.step()
    # torch's optimizers have one learning rate, so each model takes its own share of the full step.
    for old, weight in zip(before, _weights(optimizer), strict=True):
        weight.copy_(old.lerp(weight, factor.view(-1, *[1] * (old.dim() - 1))))


def _weights(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [weight.detach() for group in optimizer.param_groups for weight in group["params"]]


def _muon(model: nn.Module, lr: float, adam_lr: float) -> Step:
    """Return the step of Muon for dense convolution filters and of Adam for all other weights."""
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    # Orthogonalising VGG's 4096 x 25088 weights would cost teraflops per step.
    convs = [conv for conv in convs if min(conv.weight.flatten(-3).shape[-2:]) <= 1024]
    filters = {id(conv.weight): conv.weight for conv in convs}
    muon = Muon(filters.values(), lr)
    others = [weight for weight in model.parameters() if id(weight) not in filters]
    adam = torch.optim.Adam(others, adam_lr, foreach=True)

    def step(factor: float | Tensor) -> None:
        muon.step(factor)
        _stepped(adam, adam_lr, factor)

    return step


OPTIMIZERS: dict[str, Callable[..., Step]] = {"sgd": _sgd, "muon": _muon, "adam": _adam}
"""``OPTIMIZERS[name](model, lr, **recipe.tuning())`` returns the update step of a model."""


@contextmanager
def frozen(fixed: list[Tensor]) -> Iterator[None]:
    """Exclude some weights from the training within the context."""
    for weight in fixed:
        weight.requires_grad = False
    try:
        yield
    finally:
        for weight in fixed:
            weight.requires_grad = True


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators (weights, dropout, augmentation) and restore them afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
