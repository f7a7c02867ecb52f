"""Recipes: their schedules, optimizers and augmentation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchkit.errors import SpecError
from benchkit.params.build import build
from benchkit.spec.spec import recipe as parsed
from benchkit.testing.world import network, world
from benchkit.training.augment import augmented, random_crop_and_flip, random_rotation
from benchkit.training.optimizers import OPTIMIZERS
from benchkit.training.recipes import RECIPES, Fast, Mntd, Rao2024, Recipe, Standard
from benchkit.training.trainer import Trainer

CPU = torch.device("cpu")
RAMP = (torch.arange(8)[:, None] * 16 + torch.arange(8) * 2 + 1).byte().expand(6, 1, 8, 8)


def test_the_learning_rate_of_rao2024_falls_at_milestones() -> None:
    recipe = Rao2024()
    assert [recipe.factor(epoch / 200) for epoch in (0, 50, 99.99)] == [1, 1, 1]
    assert [recipe.factor(epoch / 200) for epoch in (100, 150, 199.99)] == pytest.approx([0.1] * 3)
    longer = Rao2024(epochs=500)
    assert [longer.factor(k / 500) for k in (99, 100, 200, 300, 400)] == pytest.approx([1, 0.1, 0.01, 1e-3, 1e-4])
    assert Rao2024(epochs=50).factor(0.99) == 1
    assert all(Rao2024(epochs=n).factor(100 / n) < 1 for n in range(100, 700))


def test_rao2024_has_the_numbers_of_the_released_code() -> None:
    recipe = Rao2024()
    assert (recipe.lr, recipe.batch, recipe.epochs_for(50_000), recipe.crop, recipe.flip) == (0.01, 128, 200, 5, True)
    assert (recipe.optimizer, recipe.tuning()) == ("sgd", {"momentum": 0.9, "weight_decay": 5e-4})
    assert (recipe.crop_chance, recipe.degrees, recipe.turn_chance, recipe.smoothing) == (0.8, 10, 0.5, 0)


def test_mntd_has_the_numbers_of_the_paper() -> None:
    recipe = Mntd()
    assert (recipe.optimizer, recipe.tuning(), recipe.lr, recipe.batch) == ("adam", {}, 1e-3, 100)
    assert (recipe.epochs_for(1000), recipe.crop, recipe.flip, recipe.degrees, recipe.smoothing) == (
        100,
        0,
        False,
        0,
        0,
    )
    assert [recipe.factor(done / 4) for done in range(5)] == [1] * 5
    assert torch.equal(augmented(RAMP, recipe), RAMP)


def test_adam_takes_the_step_of_its_paper() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.grad, layer.bias.grad = torch.tensor([[3.0, -0.2]]), torch.zeros(1)
    before = layer.weight.detach().clone()
    step = OPTIMIZERS["adam"](layer, 0.01, **Mntd().tuning())
    step(1.0)  # the first step is one learning rate long, whatever the gradient
    torch.testing.assert_close(layer.weight.detach(), before - torch.tensor([[0.01, -0.01]]))
    step(0.5)
    torch.testing.assert_close(layer.weight.detach(), before - torch.tensor([[0.015, -0.015]]))


@pytest.mark.parametrize("recipe", [Fast(), Standard()])
def test_the_schedule_falls_from_one_to_zero(recipe: Recipe) -> None:
    factors = [recipe.factor(done / 10) for done in range(11)]
    assert factors[0] == 1
    assert factors[5] == pytest.approx(0.5)
    assert factors[10] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)


def test_fast_shows_small_sets_more_often() -> None:
    assert Fast(epochs=7).epochs_for(10) == 7
    assert Fast(budget=1000).epochs_for(250) == 4
    assert Fast(budget=1000).epochs_for(10_000) == 4
    assert Fast(budget=1000).epochs_for(1) == 40
    assert Standard().epochs_for(10) == 100


def test_fast_shows_large_sets_in_larger_batches_unless_told() -> None:
    assert [Fast().batch_for(images) for images in (100, 5000, 19_999, 20_000, 50_000)] == [125, 125, 125, 250, 250]
    assert Fast(batch=64).batch_for(50_000) == 64
    assert Standard().batch_for(50_000) == 128
    assert parsed("fast:batch=0") == Fast()
    for batch in ("1", "-1"):
        with pytest.raises(SpecError, match=rf"fast:batch must be 0 \| >= 2, got {batch}"):
            parsed(f"fast:batch={batch}")


def test_recipes_are_components() -> None:
    assert str(build(RECIPES["fast"], {"epochs": "20"})) == "fast:epochs=20"
    with pytest.raises(SpecError, match="must be > 0"):
        build(RECIPES["standard"], {"lr": "0"})


@pytest.mark.parametrize("cls", RECIPES.values())
def test_every_recipe_names_an_optimizer_that_takes_its_settings(cls: type[Recipe]) -> None:
    recipe, model = cls(), network(3)
    before = [weight.clone() for weight in model.parameters()]
    step = OPTIMIZERS[recipe.optimizer](model, recipe.lr, **recipe.tuning())
    model(torch.rand(4, 3, 16, 16)).square().sum().backward()
    step(1.0)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_settings_reach_the_optimizer() -> None:
    still = nn.Linear(2, 1)
    still.weight.grad, still.bias.grad = torch.zeros(1, 2), torch.zeros(1)
    before = still.weight.detach().clone()
    OPTIMIZERS["sgd"](still, 0.5, **Standard(weight_decay=0.1).tuning())(1.0)
    torch.testing.assert_close(still.weight.detach(), before * 0.95)


@pytest.mark.parametrize("recipe", [Rao2024(epochs=10, batch=32, flip=False), Mntd(epochs=10, batch=32)])
def test_recipes_train(recipe: Recipe) -> None:
    where = world(3, 32)
    model = Trainer(recipe, lambda: network(3), CPU).fit(where.data.train, rng=torch.Generator().manual_seed(0))
    right = model.logits(where.data.test.images).argmax(1) == where.data.test.labels
    assert float(right.float().mean()) > 0.9


def draws(recipe: Recipe, count: int = 1500) -> list[Tensor]:
    torch.manual_seed(0)
    return [augmented(RAMP, recipe) for _ in range(count)]


def test_one_coin_per_batch_decides_about_turns_and_another_about_crops() -> None:
    made = draws(Rao2024(flip=False, crop=2))
    is_turned = torch.tensor([images.is_floating_point() for images in made])
    assert 0.46 < float(is_turned.float().mean()) < 0.54
    moved = torch.tensor([bool((images != RAMP).any()) for images in made if not images.is_floating_point()])
    # All six images of a cropped batch stay in place with a chance of 25 ** -6.
    assert 0.76 < float(moved.float().mean()) < 0.84


def test_images_of_a_cropped_batch_move_on_their_own() -> None:
    made = [images for images in draws(Rao2024(flip=False, crop=2), 60) if not images.is_floating_point()]
    counts = [len(images.unique(dim=0)) for images in made]
    assert set(counts) & {1}  # not cropped
    assert min(count for count in counts if count > 1) >= 3
    assert sum(counts) / len(counts) > 4


def test_images_are_mirrored_on_their_own_cropped_or_not() -> None:
    made = [images for images in draws(Rao2024(crop=0), 400) if not images.is_floating_point()]
    flips = torch.stack(made)[:, :, 0, 0, 0] == RAMP[0, 0, 0, -1]
    assert 0.46 < float(flips.float().mean()) < 0.54
    assert 0.4 < float((flips.sum(1) == 3).float().mean() / (20 / 64)) < 1.5


@pytest.mark.parametrize("recipe", [Fast(), Standard(), Mntd()])
def test_recipes_without_chances_draw_no_coins(recipe: Recipe) -> None:
    torch.manual_seed(0)
    made = augmented(RAMP, recipe)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(made, random_crop_and_flip(RAMP, recipe.crop, recipe.flip, recipe.padding))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (30, 60)])
def test_turns_keep_distances_and_stay_within_the_angle(height: int, width: int) -> None:
    images = torch.zeros(300, 1, height, width, dtype=torch.uint8)
    middle = (height // 2, width // 2)
    images[:, :, middle[0] - 1 : middle[0] + 1, middle[1] + 9 : middle[1] + 11] = 255
    torch.manual_seed(0)
    made = random_rotation(images, 10.0)
    assert made.dtype == torch.float32
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    light = made[:, 0] / made[:, 0].sum((1, 2), keepdim=True)
    down = (light * (torch.arange(height) + 0.5 - height / 2)[:, None]).sum((1, 2))
    right = (light * (torch.arange(width) + 0.5 - width / 2)).sum((1, 2))
    angles = torch.atan2(down, right).rad2deg()
    torch.testing.assert_close(torch.hypot(down, right), torch.full((300,), 10.0), atol=0.25, rtol=0)
    assert 9 < float(angles.max()) < 10.5
    assert -10.5 < float(angles.min()) < -9
    assert 5 < float(angles.std()) < 6.5  # of a uniform draw: 5.8


def test_no_turn_is_the_image_itself() -> None:
    torch.testing.assert_close(random_rotation(RAMP, 0.0) * 255, RAMP.float(), atol=1e-3, rtol=0)
