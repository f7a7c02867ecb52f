"""DeepSweep's chains: what a median erases, what a smooth trigger survives, and one answer for one image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchkit_plugins.defenses.deepsweep.deepsweep import DeepSweep
from benchkit_plugins.defenses.deepsweep.transforms import (
    affine,
    bent,
    coarse,
    draws,
    gamma,
    grown,
    intensive,
    keys,
    light,
    median,
    moved,
    resized,
    sieved,
)
from scipy.ndimage import median_filter
from torch import Tensor

import benchkit
from benchkit.testing import worlds


def images(count: int = 4, side: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("side", "window"), [(32, 3), (64, 5)])
def test_the_median_is_that_of_a_library_and_keeps_channels_apart(side: int, window: int) -> None:
    given = images(1, side)
    expected = torch.stack([torch.from_numpy(median_filter(one, window, mode="mirror")) for one in given[0].numpy()])
    torch.testing.assert_close(median(given)[0], expected)


@pytest.mark.parametrize(("side", "patch", "erased"), [(32, 2, True), (32, 3, False), (64, 3, True), (64, 5, False)])
def test_a_median_erases_small_patches(side: int, patch: int, erased: bool) -> None:
    flat = torch.full((1, 3, side, side), 0.4)
    marked = flat.clone()
    marked[:, :, 10 : 10 + patch, 10 : 10 + patch] = 1
    assert torch.equal(median(marked), flat) == erased


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_plain_images_stay_plain() -> None:
    flat = torch.full((2, 3, 32, 32), 0.5)
    for one in (median(flat), bent(flat, rng()), coarse(flat), resized(flat, 0.5)):
        torch.testing.assert_close(one, torch.full_like(one, 0.5))
    assert gamma(flat, 2.0).unique().tolist() == [0.25]


def test_a_corner_is_bent_by_three_and_three_quarters_percent_of_its_distance_at_most() -> None:
    ramp = torch.linspace(-1, 1, 65).expand(200, 1, 65, 65)  # each pixel shows its own column
    found = bent(ramp, rng())[:, 0, -1, 48] / ramp[0, 0, 0, 48]  # the last row, three quarters to the right
    row, column = 1 / 2, 0.5 / 2
    away = row**2 + column**2
    assert float(found.max()) == pytest.approx(1 + 0.05 * (away + away**2), abs=0.003)
    assert float(found.min()) == pytest.approx(1 - 0.05 * (away + away**2), abs=0.003)


def test_a_canvas_is_a_tenth_larger_and_each_image_is_at_a_place_of_its_own() -> None:
    white = torch.ones(300, 1, 40, 40)
    shown = grown(white, rng()) > 0.5
    heights, widths = shown.any(3).sum((1, 2)), shown.any(2).sum((1, 2))
    assert int((heights - widths).abs().max()) <= 1, "it keeps its shape"
    assert (int(heights.min()), int(heights.max())) == (36, 40)
    assert len({tuple(one.flatten().tolist()) for one in shown}) > 8
    small = heights == 37
    assert {bool(one[0, 0].any()) for one in shown[small]} == {True, False}, "some lie at the upper border"


def test_four_by_four_pixels_show_one_of_them() -> None:
    squares = coarse(images(1, 16))[0].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3)
    assert torch.equal(squares, squares[..., :1].expand_as(squares))
    assert len(squares[0, ..., 0].unique()) == 16


def test_a_smooth_trigger_passes_the_light_chain() -> None:
    """That is the honest limit of it, and what a victim of ``smooth`` keeps."""
    given = 0.2 + 0.6 * images(8, 32, 3)
    waves = torch.sin(torch.arange(32) * 2 * torch.pi / 32)
    added = 0.1 * (waves[:, None] + waves[None])
    change = sieved(given + added) - sieved(given)
    assert torch.corrcoef(torch.stack([change.mean((0, 1)).flatten(), added.flatten()]))[0, 1] > 0.98
    assert float(change.std() / added.std()) > 0.8


def test_shifts_are_sixteen_hundredths_at_most() -> None:
    dot = torch.zeros(200, 1, 64, 64)
    dot[:, :, 31:33, 31:33] = 1
    found = moved(dot, affine(torch.rand(4, 200, generator=rng()))).flatten(1).argmax(1)
    rows, columns = found // 64 - 31.5, found % 64 - 31.5
    assert 7 < float(rows.abs().max()) <= 0.16 * 64 * 1.2 + 1
    assert 7 < float(columns.abs().max()) <= 0.16 * 64 * 1.2 + 1


def test_each_image_has_a_draw_of_its_own_that_follows_from_its_pixels_alone() -> None:
    given = (255 * images(4000, 8)).round() / 255
    by = keys((3, 8, 8), rng())
    drawn = draws(given, by)
    assert torch.equal(draws(given.flip(0)[:7], by), drawn.flip(1)[:, :7]), "its batch changes nothing"
    assert not torch.equal(draws(given, keys((3, 8, 8), rng(1))), drawn)
    for one in drawn:
        shares = torch.histc(one, 10, 0, 1) / len(one)
        assert float((shares - 0.1).abs().max()) < 0.03, "uniform"
    assert float(torch.corrcoef(drawn).fill_diagonal_(0).abs().max()) < 0.06
    given[:, 0, 3, 3] = (given[:, 0, 3, 3] + 1 / 255) % 1
    changed = draws(given, by)
    assert float((changed != drawn).float().mean()) > 0.999
    assert abs(float(torch.corrcoef(torch.stack([changed[0], drawn[0]]))[0, 1])) < 0.06


def test_what_is_left_of_a_patch_does_not_hang_on_one_draw() -> None:
    marked = (255 * images(200)).round() / 255
    marked[:, :, 27:31, 27:31] = 1
    gone = []
    for seed in range(6):
        matrices = affine(draws(marked, keys((3, 32, 32), rng(seed))))
        patch = torch.zeros(1, 1, 32, 32)
        patch[:, :, 27:31, 27:31] = 1
        left = moved(patch.expand(200, -1, -1, -1), matrices).flatten(1).sum(1)
        gone.append(float((left < 4).float().mean()))
    assert all(0.15 < one < 0.4 for one in gone), gone


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 48, 64)])
def test_chains_keep_sizes_and_ranges_and_follow_from_their_seed(shape: tuple[int, int, int]) -> None:
    given = torch.rand(3, *shape, generator=rng(1))
    chains: list[Callable[[], Tensor]] = [lambda: intensive(given, rng(2)), lambda: light(given, keys(shape, rng(3)))]
    for chain in chains:
        found = chain()
        assert found.shape == given.shape
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        assert torch.equal(found, chain())


def test_the_repaired_model_gives_one_answer_and_keeps_its_task() -> None:
    world = worlds.patch(2)
    scene = world.scene(DeepSweep())
    model = DeepSweep(epochs=1).repair(scene)
    assert isinstance(model, benchkit.Preprocessed)
    assert torch.equal(model.logits(world.test.images), model.logits(world.test.images))
    bare = DeepSweep(epochs=1, preprocess=False).repair(world.scene(DeepSweep()))
    assert not isinstance(bare, benchkit.Preprocessed)
