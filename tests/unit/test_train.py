from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.contracts.steering import Fit
from benchkit.errors import ContractError
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.ops.images import statistics
from benchkit.training.augment import augmented, picked
from benchkit.training.muon import orthogonalised
from benchkit.training.recipes import Fast, Recipe, Standard
from benchkit.training.trainer import Trainer, shuffled

CPU = torch.device("cpu")


def dots(count: int = 96, shape: tuple[int, int, int] = (3, 16, 16), seed: int = 0) -> Split:
    """Three classes a network learns in seconds: a bright square at the top, in the middle, at the bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, *shape), generator=generator)
    for label in range(3):
        top = label * (shape[1] // 3)
        images[labels == label, :, top : top + 4, 5:10] += 120
    return Split(images.byte(), labels)


def trainer(recipe: Recipe | None = None, net: str = "narrownet", channels: int = 3) -> Trainer:
    return Trainer(recipe or Fast(epochs=4, batch=24), lambda: create(net, 3, (channels, 16, 16), CPU), CPU)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def accuracy(model: Classifier, data: Split) -> float:
    return float((model.logits(data.images).argmax(1) == data.labels).float().mean())


def same(one: Classifier, other: Classifier) -> bool:
    return all(torch.equal(value, other.state()[name]) for name, value in one.state().items())


@pytest.mark.parametrize("net", ["narrownet", "slimnet", "test_resnet", "test_efficientnet", "test_vit"])
@pytest.mark.parametrize("recipe", [Fast(epochs=8, batch=16), Standard(epochs=8, lr=0.04, batch=16, crop=1)])
def test_recipes_learn(recipe: Recipe, net: str) -> None:
    model = trainer(recipe, net).fit(dots(), rng=rng())
    assert not model.training
    assert accuracy(model, dots(seed=1)) > 0.75


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 12, 20), (3, 8, 8)])
def test_images_of_any_kind_train(shape: tuple[int, int, int]) -> None:
    model = trainer(Fast(epochs=8, batch=24), channels=shape[0]).fit(dots(shape=shape), rng=rng())
    assert accuracy(model, dots(shape=shape, seed=1)) > 0.6


def test_a_batch_may_be_larger_than_the_data() -> None:
    model = trainer(Fast(epochs=1)).fit(dots(4), rng=rng())
    assert model.logits(dots(4).images).isfinite().all()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (trainer().fit(dots(48), Fit(epochs=1), rng=rng(seed)) for seed in (1, 1, 2))
    assert same(first, again)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_network_too_deep_for_its_images_trains_the_same_each_time() -> None:
    first, again = (trainer(Fast(epochs=2, batch=16), "test_resnet").fit(dots(48), rng=rng()) for _ in range(2))
    assert same(first, again)


def test_the_global_generator_is_left_as_it_was_and_does_not_matter() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = trainer().fit(dots(24), Fit(epochs=1), rng=rng())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert same(first, trainer().fit(dots(24), Fit(epochs=1), rng=rng()))


def test_every_weight_can_be_trained_afterwards() -> None:
    model = trainer().fit(dots(24), Fit(epochs=1), rng=rng())
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize(("net", "moves"), [("narrownet", True), ("slimnet", False)])
def test_only_a_slim_network_keeps_all_of_its_whitening(net: str, moves: bool) -> None:
    model = trainer(net=net).fit(dots(48), rng=rng())
    whiten = model.net.get_submodule("whiten")
    assert bool(whiten.get_parameter("bias").any()) == moves
    filters = whiten.get_parameter("weight")
    assert torch.equal(filters[12:], -filters[:12])


def test_fine_tuning_leaves_the_start_alone_and_moves_the_copy() -> None:
    start = trainer().fit(dots(48), rng=rng())
    before = start.state()
    tuned = trainer().fit(dots(48, seed=2), Fit(start=start, epochs=1), rng=rng())
    assert all(torch.equal(value, before[name]) for name, value in start.state().items())
    assert not same(start, tuned)
    assert not tuned.training
    assert torch.equal(tuned.mean, start.mean)


def test_fine_tuning_steps_are_as_large_as_its_learning_rate() -> None:
    start = trainer().fit(dots(48), rng=rng())

    def moved(lr: float) -> float:
        tuned = trainer().fit(dots(48), Fit(start=start, epochs=1, lr=lr), rng=rng())
        return float((tuned.head.weight - start.head.weight).detach().norm())

    assert moved(1e-4) > 0
    assert moved(1e-3) > 5 * moved(1e-4)


def test_one_image_is_too_few() -> None:
    with pytest.raises(ContractError, match="at least two images"):
        trainer().fit(dots(1), rng=rng())


@pytest.mark.parametrize("padding", ["reflect", "zero"])
def test_each_image_is_shifted_and_mirrored_on_its_own(padding: str) -> None:
    recipe: Recipe = Fast(crop=2) if padding == "reflect" else Standard(crop=2)
    ramp = (torch.arange(8)[:, None] * 16 + torch.arange(8) * 2 + 1).byte()
    torch.manual_seed(0)
    made = augmented(ramp.expand(2000, 1, 8, 8), recipe)
    assert len(made.unique(dim=0)) == 50
    middle = [augmented_middle(ramp, down, right, flip) for down in range(5) for right in range(5) for flip in (0, 1)]
    assert {tuple(m.flatten().tolist()) for m in made[:, 0, 2:6, 2:6]} == set(middle)


def augmented_middle(ramp: Tensor, down: int, right: int, flip: int) -> tuple[int, ...]:
    part = ramp[down : down + 4, right : right + 4]
    return tuple((part.flip(1) if flip else part).flatten().tolist())


def test_no_augmentation_is_the_identity() -> None:
    assert torch.equal(augmented(dots(10).images, Fast(crop=0, flip=False)), dots(10).images)


@pytest.mark.parametrize(("padding", "expected"), [("zero", [0, 0, 1, 2]), ("reflect", [3, 2, 1, 2])])
def test_padding_beyond_the_border(padding: str, expected: list[int]) -> None:
    row = torch.tensor([[[[1, 2, 3, 4]]]], dtype=torch.uint8)
    made = picked(row, torch.zeros(1, 1, dtype=torch.int64), torch.arange(-2, 2)[None], padding)
    assert made.flatten().tolist() == expected
    assert made.dtype == torch.uint8


def test_an_epoch_shows_each_row_once_in_batches_of_one_size() -> None:
    batches = list(shuffled(103, 4, 8))
    assert {len(batch) for batch in batches} == {25, 26}
    assert torch.cat(batches[:4]).sort().values.tolist() == list(range(103))
    assert not torch.equal(torch.cat(batches[:4]), torch.cat(batches[4:]))


def test_statistics_are_those_of_the_pixels() -> None:
    images = dots(7).images
    mean, std = statistics(images)
    assert torch.allclose(mean, (images / 255).mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(std, (images / 255).permute(1, 0, 2, 3).flatten(1).std(1, correction=0), atol=1e-6)
    assert statistics(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))[1] > 0


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_newton_schulz_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=rng()) * torch.logspace(0, 1, shape[1])
    values = torch.linalg.svdvals(orthogonalised(matrix, 5))
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.4


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))


def test_a_network_without_convolutions_trains() -> None:
    model = Trainer(Fast(epochs=6, batch=24, crop=0, flip=False), flat, CPU).fit(dots(), rng=rng())
    assert accuracy(model, dots(seed=1)) > 0.9
