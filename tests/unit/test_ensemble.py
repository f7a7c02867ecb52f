"""Many trainings at once give the models that one training after the other gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.errors import BenchkitError, ContractError
from benchkit.models.classifier import Classifier
from benchkit.models.networks import NETS
from benchkit.training import ensemble
from benchkit.training.ensemble import fit_many, train_stacked
from benchkit.training.recipes import Fast, Mntd, Recipe, Standard
from benchkit.training.trainer import Trainer

CPU = torch.device("cpu")


class Plain(nn.Module):
    """Two convolutions without normalisation."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 3, padding=1, stride=2)
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.dropout(F.relu(self.second(F.relu(self.first(x)))).mean((2, 3))))
        return out


class Normed(Plain):
    """The same with batch normalisation.

    No weight's gradient vanishes but for rounding (as that of a scale in front of another normalisation does):
    Adam would make full steps of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(F.relu(self.second(F.relu(self.norm(self.first(x))))).mean((2, 3)))
        return out


def split(seed: int, count: int) -> Split:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=rng)
    images = torch.randint(0, 100, (count, 3, 8, 8), generator=rng) + 50 * labels[:, None, None, None]
    return Split(images.byte(), labels)


def splits(*sizes: int) -> list[Split]:
    return [split(seed, size) for seed, size in enumerate(sizes)]


def rngs(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + number) for number in range(count)]


@dataclass(frozen=True)
class Asking(Sequence[Split]):
    """Splits that are made when they are asked for, and what was asked."""

    sizes: tuple[int, ...]
    log: list[int]

    def __len__(self) -> int:
        return len(self.sizes)

    @overload
    def __getitem__(self, number: int) -> Split: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Split]: ...
    def __getitem__(self, number: int | slice) -> Split | Sequence[Split]:
        assert isinstance(number, int)
        self.log.append(number)
        return split(number, self.sizes[number])


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    # In bfloat16 a sum in another order differs by 1e-2, and nothing could be told from such weights.
    monkeypatch.setattr("benchkit.models.classifier.compute_dtype", lambda device: torch.float32)


def distance(one: Classifier, other: Classifier) -> float:
    """Return the largest difference of any weight or statistic, as a share of that tensor's largest number."""
    theirs = other.state()
    ratios = [(a - theirs[n]).abs().max() / a.abs().max().clamp(min=1e-3) for n, a in one.state().items()]
    return float(torch.stack(ratios).max())


ADAM = Mntd(epochs=3, batch=8)
SGD = Standard(epochs=3, batch=8, lr=0.05, crop=0, flip=False)
MUON = Fast(epochs=3, batch=8, crop=0, flip=False)


# Measured: 3e-6 at most for Adam and SGD. Muon rounds its updates to bfloat16 (steps of 0.4 %), where a difference of
# 1e-7 may fall on the other side: 7e-3 at most.
@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("build", [Normed, Plain])
@pytest.mark.parametrize(("recipe", "tolerance"), [(ADAM, 5e-5), (SGD, 5e-5), (MUON, 2e-2)])
@pytest.mark.parametrize("sizes", [(24, 24, 24), (24, 37, 16, 37, 37)])
def test_stacked_training_gives_the_weights_of_one_training_after_the_other(
    build: type[nn.Module], recipe: Recipe, tolerance: float, sizes: tuple[int, ...]
) -> None:
    trainer, data = Trainer(recipe, build, CPU), splits(*sizes)
    alone = [trainer.fit(one, rng=rng) for one, rng in zip(data, rngs(len(data)), strict=True)]
    together = fit_many(trainer, data, rngs(len(data)), stacked=3)
    found = [distance(one, other) for one, other in zip(alone, together, strict=True)]
    assert max(found) < tolerance
    assert distance(alone[0], alone[1]) > 10 * tolerance
    assert not any(model.training for model in together)
    assert all(weight.requires_grad and weight.grad is None for model in together for weight in model.parameters())


@pytest.mark.parametrize("build", [Normed, Plain])
def test_on_a_cpu_models_are_trained_one_by_one(build: type[nn.Module]) -> None:
    trainer, data = Trainer(SGD, build, CPU), splits(24, 20)
    alone = [trainer.fit(one, rng=rng) for one, rng in zip(data, rngs(2), strict=True)]
    assert [distance(one, other) for one, other in zip(alone, fit_many(trainer, data, rngs(2)), strict=True)] == [0, 0]


@pytest.mark.usefixtures("float32")
def test_what_training_keeps_fixed_stays_as_the_data_made_it() -> None:
    trainer = Trainer(Fast(epochs=1, batch=8), lambda: NETS["narrownet"](3, (3, 32, 32)), CPU)
    data = splits(24, 24)
    alone = [trainer.fit(one, rng=rng) for one, rng in zip(data, rngs(2), strict=True)]
    together = fit_many(trainer, data, rngs(2), stacked=2)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.state()["net.whiten.weight"], other.state()["net.whiten.weight"])
        assert all(weight.requires_grad for weight in other.parameters())
    assert distance(*together) > 0.05


@pytest.mark.parametrize(("stacked", "asked"), [(None, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_a_split_is_asked_for_once_when_its_turn_comes(
    stacked: int | None, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []

    def fresh(self: Trainer, data: Split) -> tuple[Classifier, list[Tensor]]:
        found.append(len(log))
        return original(self, data)

    log: list[int] = []
    original = Trainer.fresh
    monkeypatch.setattr(Trainer, "fresh", fresh)
    made = fit_many(Trainer(SGD, Plain, CPU), Asking((8,) * 5, log), rngs(5), stacked=stacked)
    assert len(made) == 5
    assert log == [0, 1, 2, 3, 4]
    assert sorted(set(found)) == asked


@pytest.mark.parametrize("recipe", [Mntd(epochs=2, batch=8), Fast(epochs=2, batch=8, crop=1)])
def test_dropout_and_augmentation_are_the_same_each_time_and_every_model_has_its_own(recipe: Recipe) -> None:
    trainer, one = Trainer(recipe, lambda: Plain(0.5), CPU), split(0, 24)
    before = torch.get_rng_state()
    first, again = (fit_many(trainer, [one] * 3, rngs(3), stacked=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert [distance(*pair) for pair in zip(first, again, strict=True)] == [0, 0, 0]
    twins = fit_many(trainer, [one] * 2, [*rngs(1), *rngs(1)], stacked=2)
    assert distance(*twins) > 1e-3  # the same weights at first and the same batches


def test_one_generator_may_serve_all_models() -> None:
    trainer, data, shared = Trainer(SGD, Plain, CPU), splits(24, 24), torch.Generator().manual_seed(3)
    alone = [trainer.fit(one, rng=shared) for one in data]
    left = shared.get_state()
    shared.manual_seed(3)
    together = fit_many(trainer, data, [shared, shared], stacked=2)
    assert torch.equal(shared.get_state(), left)
    assert all(distance(*pair) < 0.05 for pair in zip(alone, together, strict=True))


def test_where_memory_runs_out_fewer_models_are_trained_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def short(trainer: Trainer, entries: Sequence[tuple[Split, int]]) -> list[Classifier]:
        tried.append(len(entries))
        if len(entries) > 2:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return train_stacked(trainer, entries)

    trainer, log = Trainer(SGD, Plain, CPU), list[int]()
    expected = fit_many(trainer, splits(*[24] * 5), rngs(5), stacked=2)
    monkeypatch.setattr(ensemble, "train_stacked", short)
    made = fit_many(trainer, Asking((24,) * 5, log), rngs(5), stacked=5)
    assert tried == [5, 2, 2, 1]
    assert log == [0, 1, 2, 3, 4]
    assert [distance(*pair) for pair in zip(expected, made, strict=True)] == [0] * 5


def test_memory_for_not_even_one_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(trainer: Trainer, entries: Sequence[tuple[Split, int]]) -> list[Classifier]:
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(ensemble, "train_stacked", never)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        fit_many(Trainer(SGD, Plain, CPU), splits(24, 24), rngs(2), stacked=2)


@pytest.mark.parametrize("stacked", [1, 2])
def test_one_model_that_diverges_is_an_error_that_says_so(stacked: int) -> None:
    trainer = Trainer(Standard(epochs=2, batch=8, lr=1e30, crop=0, flip=False), Plain, CPU)
    with pytest.raises(BenchkitError, match=r"training diverged by step \d+ of \d+: lower the learning rate"):
        fit_many(trainer, splits(24, 8), rngs(2), stacked=stacked)


def test_each_split_needs_a_generator_and_two_images() -> None:
    trainer = Trainer(SGD, Plain, CPU)
    with pytest.raises(ContractError, match="a generator for each split, got 1 for 2"):
        fit_many(trainer, splits(24, 24), rngs(1))
    with pytest.raises(ContractError, match="at least two images"):
        fit_many(trainer, splits(24, 1), rngs(2), stacked=2)
    assert fit_many(trainer, [], [], stacked=2) == []
