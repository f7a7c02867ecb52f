"""Meta neural analysis: small networks that read a classifier's logits on a few tuned queries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    import benchkit

    Sample = tuple[benchkit.Classifier, bool]
    """A model, and whether it has a backdoor."""

LEAST_HELD = 16
"""Minimum number of validation models, if it is at most a quarter; of many models one in nine, as in the paper."""
WEIGHTS = ("queries", "hidden_weight", "hidden_bias", "weight", "bias")


class MetaClassifiers(nn.Module):
    """R independent meta-classifiers; a model is evaluated on all their queries in one pass.

    Each has its own queries and maps all their logits through one hidden layer to one score. They share no weights, so
    the gradient of the summed loss is the gradient of each. The weights are: ``queries`` (R, Q, C, H, W), in the input
    space of the models, [0, 1], but not limited to it, ``hidden_weight`` (R, hidden, Q K), ``hidden_bias`` and
    ``weight`` (R, hidden), ``bias`` (R,); float32.

    Args:
        weights: the tensors above, by name.
        standardise: scale the logits of each model to mean 0 per query and standard deviation 1 over all queries.
        dropout: keep the dropout of the models on, which draws from torch's global generator.
    """

    queries: Tensor
    hidden_weight: Tensor
    hidden_bias: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, weights: Mapping[str, Tensor], *, standardise: bool, dropout: bool) -> None:
        super().__init__()
        self.standardise, self.dropout = standardise, dropout
        for name in WEIGHTS:
            self.register_parameter(name, nn.Parameter(weights[name].clone()))

    def forward(self, model: benchkit.Classifier) -> Tensor:
        """Return the scores of one model, float32 (R,), higher = more suspicious."""
        repeats, count = self.queries.shape[:2]
        with _answering(model, self.dropout):
            logits = model(self.queries.flatten(0, 1)).view(repeats, count, -1)
        if self.standardise:
            logits = logits - logits.mean(2, keepdim=True)
            logits = logits / logits.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-6)
        hidden = F.relu(torch.einsum("rhi,ri->rh", self.hidden_weight, logits.flatten(1)) + self.hidden_bias)
        scores: Tensor = (self.weight * hidden).sum(1) + self.bias
        return scores

    @torch.no_grad()
    def scores(self, models: Sequence[benchkit.Classifier]) -> Tensor:
        """Return the scores of several models, float32 (M, R)."""
        return torch.stack([self(model) for model in models])

    def state(self) -> dict[str, Tensor]:
        """Return a copy of the current weights."""
        return {name: value.detach().clone() for name, value in self.named_parameters()}


def fresh(queries: Tensor, classes: int, hidden: int) -> dict[str, Tensor]:
    """Return the initial weights for these queries: those of nn.Linear, drawn from torch's global generator."""
    repeats, inside = len(queries), queries.shape[1] * classes

    def drawn(*shape: int, fan: int) -> Tensor:
        return ((2 * torch.rand(repeats, *shape) - 1) / math.sqrt(fan)).to(queries.device)

    return {
        "queries": queries,
        "hidden_weight": drawn(hidden, inside, fan=inside),
        "hidden_bias": drawn(hidden, fan=inside),
        "weight": drawn(hidden, fan=hidden),
        "bias": drawn(fan=hidden),
    }


@contextmanager
def _answering(model: benchkit.Classifier, dropout: bool) -> Iterator[None]:
    """Put the model's dropout layers in training mode within the context; batch normalisation stays in eval mode."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Dropout)] if dropout else []
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()


class TwoClass:
    """Backdoored against benign: binary cross-entropy with logits."""

    def loss(self, meta: MetaClassifiers, sample: Sample) -> Tensor:
        """Return the loss of one model, summed over the meta-classifiers."""
        scores = meta(sample[0])
        wanted = torch.full_like(scores, float(sample[1]))
        return F.binary_cross_entropy_with_logits(scores, wanted, reduction="sum")


class OneClass:
    """Benign models only: a one-class network (Xu et al., Section V-D; Chalapathy et al., 2018).

    With s the benign score, the negative output of ``meta``: |w|^2 / 2 + |V|^2 / 2 + max(0, r - s) / nu - r, where V is
    the hidden layer's weights and, as in the released code, its biases. r is 1 at first; after every step it becomes
    the nu-quantile of the scores of this epoch so far.
    """

    def __init__(self, nu: float, per_epoch: int) -> None:
        self.nu, self.per_epoch = nu, per_epoch
        self.seen: list[Tensor] = []
        self.r: Tensor | float = 1.0

    def loss(self, meta: MetaClassifiers, sample: Sample) -> Tensor:
        """Return the loss of one benign model, summed over the meta-classifiers."""
        benign = -(meta(sample[0]) - meta.bias)  # the one-class network has no bias; its gradient here is zero
        size = sum(part.square().sum() / 2 for part in (meta.weight, meta.hidden_weight, meta.hidden_bias))
        loss = size + (F.relu(self.r - benign) / self.nu - self.r).sum()
        self.seen = [*([] if len(self.seen) == self.per_epoch else self.seen), benign.detach()]
        self.r = torch.stack(self.seen).quantile(self.nu, 0)
        return loss


@dataclass(frozen=True)
class TrainingSchedule:
    """The training of meta-classifiers: Adam, one model per step, in an order drawn for each epoch."""

    epochs: int
    lr: float
    tune: bool

    def run(
        self, meta: MetaClassifiers, goal: TwoClass | OneClass, samples: list[Sample], held: list[Sample] | None
    ) -> None:
        """Train; with ``held``, each meta-classifier keeps the weights of the epoch that ranked these models best.

        Of equal epochs the last counts. The order comes from torch's global generator.
        """
        meta.queries.requires_grad_(self.tune)
        weights = [weight for weight in meta.parameters() if weight.requires_grad]
        optimiser = torch.optim.Adam(weights, self.lr, foreach=True)
        best, state = torch.full((len(meta.bias),), -1.0, device=meta.bias.device), meta.state()
        for _ in range(self.epochs):
            for at in torch.randperm(len(samples)).tolist():
                loss = goal.loss(meta, samples[at])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            if held is not None:
                ranked = ranking(meta.scores([model for model, _ in held]), [bad for _, bad in held])
                _update(state, meta.state(), ranked >= best)
                best = best.maximum(ranked)
        if held is not None:
            meta.load_state_dict(state)


def _update(state: dict[str, Tensor], new: Mapping[str, Tensor], where: Tensor) -> None:
    """Replace the weights of some of the meta-classifiers."""
    for name, value in new.items():
        state[name][where] = value[where]


def ranking(scores: Tensor, backdoored: Sequence[bool]) -> Tensor:
    """Return the AUC of each column of scores (M, R), float32 (R,); 0.5 if one kind is missing."""
    labels = torch.tensor(backdoored, device=scores.device)
    benign, bad = scores[~labels], scores[labels]
    if not len(benign) or not len(bad):
        return scores.new_full((scores.shape[1],), 0.5)
    wins = (bad[:, None] > benign).float() + 0.5 * (bad[:, None] == benign).float()
    return wins.mean((0, 1))


def validating(count: int) -> int:
    """Return how many of ``count`` shadow models validate: even, one in nine, but 16 if that is at most a quarter."""
    half = max(count // 9, min(LEAST_HELD, count // 4)) // 2
    return 2 * max(1, half)


def folds(count: int, wanted: int) -> int:
    """Return how many parts of ``count`` shadow models can validate in turn."""
    return min(wanted, count // validating(count))


@dataclass(frozen=True)
class Turn:
    """The numbers of the shadow models from which ``together`` meta-classifiers learn, and of those that validate."""

    learned: list[int]
    held: list[int]
    together: int


def turns(count: int, wanted: int, repeats: int) -> Iterator[Turn]:
    """Yield the turns in which ``wanted`` parts of ``count`` shadow models validate, for each of ``repeats``.

    With one fold the last models validate, and all meta-classifiers learn together. Several folds are drawn anew for
    each repeat, from torch's global generator. Benign models have even numbers, backdoored ones odd numbers, and pairs
    stay together.
    """
    many, size = folds(count, wanted), validating(count)
    for _ in range(repeats if many > 1 else 1):
        order = torch.randperm(count // 2) if many > 1 else torch.arange(count // 2)
        numbers = torch.stack((2 * order, 2 * order + 1), 1).flatten().tolist()
        for end in range(count, count - many * size, -size):
            held = slice(end - size, end)
            yield Turn(numbers[: held.start] + numbers[end:], numbers[held], 1 if many > 1 else repeats)


def averaged(rounds: Sequence[tuple[list[int], Tensor]]) -> dict[int, Tensor]:
    """Return the mean score of each model, by number, over rounds of (numbers, a score of each)."""
    found: dict[int, list[Tensor]] = {}
    for numbers, scores in rounds:
        for number, score in zip(numbers, scores, strict=True):
            found.setdefault(number, []).append(score)
    return {number: torch.stack(found[number]).mean() for number in sorted(found)}
