"""DeepSweep's chains: what a median erases, what a smooth trigger survives, and one answer for one image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchkit_plugins.defenses.deepsweep.deepsweep import DeepSweep
from benchkit_plugins.defenses.deepsweep.transforms import (
    affine,
    bent,
    gamma,
    grown,
    intensive,
    light,
    median,
    moved,
    resized,
    speckled,
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
    for one in (median(flat), bent(flat, rng()), moved(flat, affine(2, rng())), resized(flat, 0.5)):
        torch.testing.assert_close(one, torch.full_like(one, 0.5))
    assert gamma(flat, 2.0).unique().tolist() == [0.25]


def test_noise_is_within_its_bounds_and_canvas_is_larger() -> None:
    flat = torch.full((8, 3, 32, 32), 0.5)
    noisy = speckled(flat, rng())
    assert 0.5 / 1.53 <= float(noisy.min()) < 0.35
    assert 0.7 < float(noisy.max()) <= 0.5 * 1.53
    canvas = grown(flat, rng())
    assert canvas.shape == flat.shape
    assert float(canvas.min()) < 0.1, "a part of the black canvas is in sight"


def test_shifts_are_sixteen_hundredths_at_most() -> None:
    dot = torch.zeros(200, 1, 64, 64)
    dot[:, :, 31:33, 31:33] = 1
    found = moved(dot, affine(200, rng())).flatten(1).argmax(1)
    rows, columns = found // 64 - 31.5, found % 64 - 31.5
    assert 7 < float(rows.abs().max()) <= 0.16 * 64 * 1.2 + 1
    assert 7 < float(columns.abs().max()) <= 0.16 * 64 * 1.2 + 1


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 48, 64)])
def test_chains_keep_sizes_and_ranges_and_follow_from_their_seed(shape: tuple[int, int, int]) -> None:
    given = torch.rand(3, *shape, generator=rng(1))
    chains: list[Callable[[], Tensor]] = [lambda: intensive(given, rng(2)), lambda: light(given, affine(1, rng(3)))]
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
