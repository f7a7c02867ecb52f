"""Training: the dataset stays on the device as one uint8 tensor, and is augmented batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchkit.contracts.steering import Fit, Sam, Steering, Step
from benchkit.errors import BenchkitError, ContractError
from benchkit.models.classifier import Classifier
from benchkit.ops.images import statistics
from benchkit.training.augment import augmented, to_device
from benchkit.training.optimizers import OPTIMIZERS, Update, ascended, own

if TYPE_CHECKING:
    from benchkit.contracts.data import Split
    from benchkit.training.recipes import Recipe

OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("sgd", {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}),
    "adam": ("adam", {"lr": 1e-3}),
}
"""The optimizers besides that of the recipe: their names in ``OPTIMIZERS``, and their settings."""


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

    def fit(self, data: Split, how: Fit | None = None, *, rng: torch.Generator) -> Classifier:
        """Train on ``data`` and return the classifier in eval mode; see :meth:`benchkit.Scene.fit`.

        Args:
            data: uint8 images and labels, at least two.
            how: the settings; by default those of the recipe.
            rng: a CPU generator; one number is drawn from it and seeds the whole training.

        Raises:
            BenchkitError: if the loss is not finite.
        """
        data, how = trainable(data).to(self.device), how or Fit()
        weights = None if how.weights is None else row_weights(how.weights, len(data)).to(self.device)
        with seeded(draw_seed(rng)):
            model, fixed = self._begun(data, how)
            update = self._optimized(model, how)
            run = Run(model, self.recipe, update, how.steering or Steering(), weights, how.sam)
            with frozen(fixed):
                run(data, self.epochs_for(len(data)) if how.epochs is None else how.epochs)
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

    def _begun(self, data: Split, how: Fit) -> tuple[Classifier, list[Tensor]]:
        """Return the model to train, and its parameters that stay fixed."""
        if how.start is None:
            return self.fresh(data)
        model = how.start.copy()
        return model, self._fixed_by_recipe(data, model) if how.method == "recipe" else []

    def _fixed_by_recipe(self, data: Split, model: Classifier) -> list[Tensor]:
        """Return the parameters that the recipe would not train in a new model either."""
        twin, fixed = self.fresh(data)
        kept = {id(weight) for weight in fixed}
        names = {name for name, weight in twin.named_parameters() if id(weight) in kept}
        return [weight for name, weight in model.named_parameters() if name in names and weight.requires_grad]

    def _optimized(self, model: Classifier, how: Fit) -> Update:
        if callable(how.optimizer):
            return own(how.optimizer, model, how.lr or 0.0)
        name, options = OTHERS.get(how.method, (self.recipe.optimizer, {"lr": self.recipe.lr, **self.recipe.tuning()}))
        return OPTIMIZERS[name](model, **options | ({} if how.lr is None else {"lr": how.lr}))


@dataclass(frozen=True)
class Run:
    """One training: a model, its update, and what the method itself does in each step."""

    model: Classifier
    recipe: Recipe
    update: Update
    steering: Steering
    weights: Tensor | None
    sam: Sam | None

    def __call__(self, data: Split, epochs: float) -> None:
        """Train for this number of epochs; raise BenchkitError if the loss is not finite."""
        batches, total = steps_per_epoch_and_total(self.recipe, len(data), epochs)
        self.model.train()
        losses = data.images.new_zeros((), dtype=torch.float32)
        for done, drawn in enumerate(shuffled(len(data), batches, total)):
            rows = to_device(drawn, data.labels.device)
            images, labels = data.images.index_select(0, rows), data.labels[rows]
            where = (self.model, done, total, done / batches, self.recipe.smoothing, self.weights)
            losses += self._taken(Step(rows, images, labels, *where))
            if (done + 1) % batches == 0 or done + 1 == total:
                require_finite(losses, done + 1, total)

    def _taken(self, step: Step) -> Tensor:
        """Take one step; return its loss."""
        given = _step(self.steering.batch(step), "batch")
        ready = _step(self.steering.inputs(given.replaced(images=augmented(given.images, self.recipe))), "inputs")
        self.model.zero_grad(set_to_none=True)
        loss = self.steering.gradients(ready)
        if self.sam is not None:
            with ascended(self.model, self.sam):
                self.steering.gradients(ready)
        self.update(self.recipe.factor(step.number / step.total))
        return loss.detach().mean()


def _step(returned: Any, hook: str) -> Step:
    if not isinstance(returned, Step):
        raise ContractError(f"{hook} of a steering must return a step, got {type(returned).__name__}: step.replaced()")
    return returned


def row_weights(weights: Tensor, rows: int) -> Tensor:
    """Return the weights as float32 (N,); raise ContractError unless there is one of at least 0 for each row."""
    if weights.shape != (rows,) or not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ContractError(f"scene.fit needs one finite weight of at least 0 for each of {rows} images")
    return weights.detach().float()


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
