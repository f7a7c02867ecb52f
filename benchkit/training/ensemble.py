"""Many trainings at once: on a GPU, models of one architecture are trained as one batched computation.

A small network leaves most of a GPU idle. Here K models share each step: their weights are stacked on a new first
axis, over which the network is mapped. On a CPU this is slower than one model after the other, so it is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.rnn import pad_sequence

from benchkit.errors import ContractError
from benchkit.hashing import derive_seed
from benchkit.training.augment import augmented
from benchkit.training.optimizers import OPTIMIZERS
from benchkit.training.stack import Stack, footprint, mappable
from benchkit.training.trainer import (
    Trainer,
    draw_seed,
    frozen,
    require_finite,
    seeded,
    shuffled,
    steps_per_epoch_and_total,
    trainable,
)

if TYPE_CHECKING:
    from benchkit.contracts.data import Split
    from benchkit.models.classifier import Classifier
    from benchkit.training.recipes import Recipe

MOST, SHARE = 64, 0.25
"""Defaults of :func:`fit_many`: the maximum number of stacked models, and their share of a GPU's whole memory. It is
not a share of the free memory, because random numbers depend on the number of stacked models, which must not depend on
other processes.
"""
AHEAD = 100
"""Number of steps whose batches are transferred to the device at once."""


def fit_many(
    trainer: Trainer,
    splits: Sequence[Split],
    rngs: Sequence[torch.Generator],
    *,
    stacked: int | None = None,
) -> list[Classifier]:
    """Train one model on each split, as ``trainer.fit(split, rng=rng)`` does, and return them in eval mode, in order.

    It trains new models with the recipe alone: the settings and the steering of ``fit`` are for one model at a time.
    Up to rounding, each model has the weights that ``fit`` gives, except that dropout and augmentation of stacked
    models draw other numbers, which also depend on ``stacked``.

    Args:
        trainer: holds the recipe, the architecture and the device.
        splits: the training set of each model, of any size. Each item is read once, when it is needed; as many as are
            stacked are in memory at once. Networks with batch normalisation are stacked only with neighbours of the
            same split size.
        rngs: a CPU generator for each split; one number is drawn from each.
        stacked: how many models are trained as one batched computation. By default one on a CPU, and on a GPU as many
            as fit into a ``SHARE`` of its memory, at most ``MOST``; fewer only if other processes use the memory.

    Raises:
        BenchkitError: if the loss of a model is not finite.
    """
    if len(splits) != len(rngs):
        raise ContractError(f"fit_many needs a generator for each split, got {len(rngs)} for {len(splits)}")
    asked: Iterator[Split] = (trainable(splits[number]) for number in range(len(rngs)))
    if stacked is None:
        stacked, asked = _as_many_as_fit(trainer, asked)
    if stacked <= 1:
        return [trainer.fit(data, rng=rng) for data, rng in zip(asked, rngs, strict=True)]
    return _in_groups(trainer, zip(asked, map(draw_seed, rngs), strict=True), stacked)


def _in_groups(trainer: Trainer, entries: Iterator[tuple[Split, int]], most: int) -> list[Classifier]:
    made: list[Classifier] = []
    todo: list[tuple[Split, int]] = []
    while True:
        todo.extend(islice(entries, max(0, most - len(todo))))
        if not todo:
            return made
        group = _alike(todo[:most]) if _normalises_batches(trainer) else todo[:most]
        try:
            made += train_stacked(trainer, group)
        except torch.cuda.OutOfMemoryError:
            if len(group) == 1:
                raise
            most = len(group) // 2
        else:
            del todo[: len(group)]


def _alike(entries: list[tuple[Split, int]]) -> list[tuple[Split, int]]:
    sizes = [len(data) for data, _ in entries]
    return entries[: next((k for k, size in enumerate(sizes) if size != sizes[0]), len(sizes))]


def _normalises_batches(trainer: Trainer) -> bool:
    with seeded(0):
        return any(isinstance(module, _BatchNorm) for module in trainer.build().modules())


@dataclass(frozen=True)
class Member:
    """One model of a stack, at first untrained, with its data and the length of its training."""

    model: Classifier
    fixed: list[Tensor]
    data: Split
    rng: torch.Generator
    batches: int
    total: int

    @classmethod
    def of(cls, trainer: Trainer, data: Split, seed: int) -> Member:
        """Return a member with the same draws from this seed as :meth:`Trainer.fit` makes before the first step."""
        data = data.to(trainer.device)
        with seeded(seed):
            model, fixed = trainer.fresh(data)
            rng = torch.Generator()
            rng.set_state(torch.get_rng_state())
        recipe = trainer.recipe
        return cls(model, fixed, data, rng, *steps_per_epoch_and_total(recipe, len(data), recipe.epochs_for(len(data))))

    def order(self, offset: int) -> Iterator[Tensor]:
        """Yield the rows of each batch, counted from ``offset``."""
        return (rows + offset for rows in shuffled(len(self.data), self.batches, self.total, self.rng))


def train_stacked(trainer: Trainer, entries: Sequence[tuple[Split, int]]) -> list[Classifier]:
    """Train one model for each (split, seed) in one batched computation; see :func:`fit_many`."""
    members = [Member.of(trainer, data, seed) for data, seed in entries]
    fixed = [weight for member in members for weight in member.fixed]
    with frozen(fixed), seeded(derive_seed(entries[0][1], "stack")):
        _run(trainer.recipe, members)
    return [member.model.eval() for member in members]


def _run(recipe: Recipe, members: list[Member]) -> None:
    stack = Stack([member.model for member in members])
    step = OPTIMIZERS[recipe.optimizer](stack.bank, recipe.lr, **recipe.tuning())
    images = torch.cat([member.data.images for member in members])
    labels = torch.cat([member.data.labels for member in members])
    sums, often = torch.zeros(len(members), device=images.device), max(member.batches for member in members)
    for done, turn in enumerate(turns(recipe, members), 1):
        batch = augmented(images.index_select(0, turn.rows.flatten()), recipe)
        losses = turn.losses(stack(batch.view(*turn.rows.shape, *batch.shape[1:])), labels, recipe.smoothing)
        stack.bank.zero_grad(set_to_none=True)
        losses.sum().backward()
        step(turn.factor)
        sums += losses.detach()
        # After a model's own last step, its place in the stack is not used.
        ready = [k for k, member in enumerate(members) if member.total == done]
        for k in ready:
            stack.read(k, members[k].model)
        if ready or done % often == 0:
            _check(sums, done, members)


def _check(sums: Tensor, done: int, members: list[Member]) -> None:
    for k in (~sums.isfinite()).nonzero().flatten().tolist():
        require_finite(sums[k], min(done, members[k].total), members[k].total)


@dataclass(frozen=True)
class Turn:
    """One step of K models at once.

    Attributes:
        rows: int64 (K, B), indices into the concatenated images of the members.
        shares: float32 (K, B), the weight of an image in the mean loss of its model's batch: 0 beyond the end of a
            shorter batch, and for finished models.
        factor: factor of the learning rate; float32 (K,) if it differs between the models.
    """

    rows: Tensor
    shares: Tensor
    factor: float | Tensor

    def losses(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """Return the mean cross-entropy (K,) of each model's batch from logits (K, B, classes)."""
        wanted = labels[self.rows].flatten()
        each = F.cross_entropy(logits.flatten(0, 1), wanted, label_smoothing=smoothing, reduction="none")
        each = each.view_as(self.shares)
        return (each.where(self.shares > 0, 0.0) * self.shares).sum(1)


def turns(recipe: Recipe, members: list[Member]) -> Iterator[Turn]:
    """Yield the steps of the longest training; finished members have no part in the remaining ones."""
    device, offsets = members[0].data.labels.device, [0]
    for member in members[:-1]:
        offsets.append(offsets[-1] + len(member.data))
    orders = [member.order(offset) for member, offset in zip(members, offsets, strict=True)]
    batches, start = zip_longest(*orders, fillvalue=torch.zeros(0, dtype=torch.int64)), 0
    while block := list(islice(batches, AHEAD)):
        rows, shares = (table.to(device) for table in _tables(block))
        done = range(start, start + len(block))
        factors = [[recipe.factor(min(1.0, now / member.total)) for member in members] for now in done]
        table = torch.tensor(factors).to(device)
        for t, batch in enumerate(block):
            width = max(len(part) for part in batch)
            yield Turn(rows[t, :, :width], shares[t, :, :width], _common(factors[t], table[t]))
        start += len(block)


def _common(factors: list[float], table: Tensor) -> float | Tensor:
    return factors[0] if len(set(factors)) == 1 else table


def _tables(block: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Return the rows (T, K, B) of T steps of K models, padded with 0, and their shares."""
    parts = [part for batch in block for part in batch]
    rows, sizes = pad_sequence(parts, batch_first=True), torch.tensor([[len(part)] for part in parts])
    shares = (torch.arange(rows.shape[1]) < sizes) / sizes.clamp(min=1)
    shape = (-1, len(next(iter(block))), rows.shape[1])
    return rows.view(shape), shares.view(shape)


def _as_many_as_fit(trainer: Trainer, splits: Iterator[Split]) -> tuple[int, Iterator[Split]]:
    first = None if trainer.device.type != "cuda" else next(splits, None)
    return (1, splits) if first is None else (_room(trainer, first), chain([first], splits))


def _room(trainer: Trainer, data: Split) -> int:
    """Return how many models fit into the GPU's free memory; 1 if the network cannot be mapped."""
    device, few = trainer.device, data[: trainer.recipe.batch_for(len(data))].to(trainer.device)
    with seeded(0):
        model = trainer.fresh(few)[0]
        if not mappable(model, few.images):
            return 1
        need = footprint(model, few.images) + 2 * data.images.nbytes
    free, whole = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(1, min(MOST, int(min(SHARE * whole, 0.6 * free) / need)))
