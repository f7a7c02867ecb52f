"""BppAttack against known answers: its levels, its dithering, its covers and its control."""

from __future__ import annotations

import pytest
import torch
from attack_scenes import flat, high_share, natural, noise, scene, split, stamped
from benchkit_plugins.attacks.bpp import CARRIED, BppAttack, dithered
from torch import Tensor


def slowly(image: Tensor, distance: float) -> Tensor:
    """Dither one channel (H, W) pixel by pixel, as Floyd and Steinberg describe it."""
    levels = image.double().clone()
    height, width = levels.shape
    for y in range(height):
        for x in range(width):
            wanted = float(levels[y, x])
            levels[y, x] = round(min(max(wanted, 0.0), 255.0) / distance) * distance
            for below, beside, share in CARRIED:
                if y + below < height and 0 <= x + beside < width:
                    levels[y + below, x + beside] += (wanted - float(levels[y, x])) * share / 16
    return levels


@pytest.mark.parametrize("bits", [1, 3, 5])
@pytest.mark.parametrize("dither", [False, True])
def test_every_channel_keeps_so_many_levels(bits: int, dither: bool) -> None:
    made = stamped(BppAttack(bits=bits, dither=dither), noise(40))
    assert made.unique().tolist() == [round(255 * level / (2**bits - 1)) for level in range(2**bits)]


def test_what_is_quantised_stays_and_noise_changes_by_a_quarter_of_a_level() -> None:
    images = noise(200)
    once = stamped(BppAttack(), images)
    assert stamped(BppAttack(), once).equal(once)
    assert (once.float() - images.float()).abs().mean() == pytest.approx(255 / 7 / 4, abs=0.1)


@pytest.mark.parametrize("shape", [(9, 14), (14, 9), (1, 20), (20, 1)])
def test_lines_are_dithered_as_single_pixels_are(shape: tuple[int, int]) -> None:
    images = torch.randint(256, (2, 3, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    made = dithered(images, 255 / 7)
    for image, found in zip(images.flatten(0, 1), made.flatten(0, 1), strict=True):
        torch.testing.assert_close(found.double(), slowly(image, 255 / 7), rtol=0, atol=1e-3)


def test_dithering_keeps_the_mean_that_plain_levels_lose() -> None:
    image = flat(90)
    assert abs(float(stamped(BppAttack(dither=True), image).float().mean()) - 90) < 2
    assert abs(float(stamped(BppAttack(), image).float().mean()) - 90) > 15


@pytest.mark.parametrize("bits", [1, 3, 4])
@pytest.mark.parametrize("dither", [False, True])
def test_the_control_has_one_level_more_and_shares_black_and_white_alone(bits: int, dither: bool) -> None:
    images, attack = noise(50), BppAttack(bits=bits, dither=dither)
    levels = [set(one.unique().tolist()) for one in (attack.control(images, scene()), stamped(attack, images))]
    assert len(levels[0]) == 2**bits + 1
    assert levels[0] & levels[1] == {0, 255}


@pytest.mark.parametrize("dither", [False, True])
def test_the_control_changes_images_about_as_much_as_the_stamp_and_as_finely(dither: bool) -> None:
    """One level more of eight is a distance of 7 / 8."""
    attack = BppAttack(dither=dither)
    for images in (noise(50), natural(50, 32)):
        changes = [one.float() - images.float() for one in (attack.control(images, scene()), stamped(attack, images))]
        assert changes[0].abs().mean() == pytest.approx(7 / 8 * float(changes[1].abs().mean()), rel=0.04)
        assert high_share(changes[0]) == pytest.approx(high_share(changes[1]), abs=0.04)


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_stay_in_stamp_and_control(level: int, dither: bool) -> None:
    image, attack = flat(level), BppAttack(dither=dither)
    assert torch.equal(attack.control(image, scene()), image)
    assert torch.equal(stamped(attack, image), image)


def test_covers_are_clean_images_with_the_residual_of_another() -> None:
    train, attack = split(400), BppAttack(cover_rate=0.2)
    made = attack.poison(train, scene(rate=0.1))
    assert int(made.cover.sum()) == 80
    assert not (made.cover & made.mask).any()
    assert made.data.labels[made.cover].equal(train.labels[made.cover])
    changed = (made.data.images[made.cover].float() - train.images[made.cover].float()).flatten(1)
    assert (changed.abs().amax(1) > 0).all()
    assert changed.abs().max() <= 255 / 7 / 2 + 1
    own = (stamped(attack, train.images[made.cover]).float() - train.images[made.cover].float()).flatten(1)
    alike = torch.nn.functional.cosine_similarity(own, changed)
    assert alike.mean() < 0.3  # another image's residual, not its own
