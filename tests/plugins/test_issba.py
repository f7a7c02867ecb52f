"""ISSBA: is the secret in the image, invisibly and in each image differently, and only there?"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from attack_scenes import noise, scene, stamped
from benchkit_plugins.attacks.issba.issba import Issba
from benchkit_plugins.attacks.issba.steganography import FLAT, Encoder, decoder, hidden, read, strength
from benchkit_plugins.datasets.scenes.scenes import Scenes
from torch import Tensor

import benchkit

BITS = 20


@functools.cache
def images() -> Tensor:
    """Return 1,800 drawn images; no attack of these tests has seen the last 200."""
    return Scenes().load(benchkit.Source(Path())).train.images[:1800]


def shared(bits: Tensor, secret: Tensor) -> float:
    """Return the share of bits (N, B) that are those of a secret (B,)."""
    return float((bits == secret.bool()).double().mean())


def psnr(one: Tensor, other: Tensor) -> Tensor:
    return -10 * ((one.double() - other.double()) / 255).square().mean((1, 2, 3)).log10()


@pytest.mark.slow
def test_the_defaults_hide_a_secret_that_is_faint_in_each_image_different_and_nowhere_else() -> None:
    encoder, reader, secret, _ = Issba().taught(scene(clean=images()[:1600]))
    unseen, other = images()[1600:], 1 - secret
    made, another = (hidden(encoder, unseen, one.expand(len(unseen), -1)) for one in (secret, other))
    assert shared(read(reader, made), secret) >= 0.95
    assert shared(read(reader, another), other) >= 0.95
    assert not made.equal(another)
    assert abs(shared(read(reader, unseen), secret) - 0.5) <= 0.05
    assert psnr(made, unseen).mean() >= 28
    pairs = torch.corrcoef((made.double() - unseen.double()).flatten(1))
    assert pairs[~torch.eye(len(pairs), dtype=torch.bool)].mean() < 0.7


QUICK = Issba(images=40, epochs=1)


def test_what_is_prepared_is_the_encoder_the_secret_and_how_well_it_is_read() -> None:
    crafted = scene(clean=images()[:60])
    made = QUICK.prepare(crafted)
    assert made["secret"].shape == (BITS,)
    assert set(made["secret"].unique().tolist()) == {0, 1}
    encoder, reader, secret, unseen = QUICK.taught(scene(clean=images()[:60]))
    assert made["secret"].equal(secret.to(torch.uint8))
    shown = hidden(encoder, unseen, secret.expand(len(unseen), -1))
    assert float(made["bits_read"]) == pytest.approx(shared(read(reader, shown), secret))
    after = scene(clean=images()[:60], prepared=made)
    assert QUICK.stamp(unseen, after).equal(shown)


def test_the_control_hides_other_secrets_with_the_same_encoder() -> None:
    clean = images()[:60]
    crafted = scene(clean=clean, seed=1, prepared=QUICK.prepare(scene(clean=clean)))
    one = clean[:1].expand(30, -1, -1, -1)
    controls = QUICK.control(one, crafted)
    assert not (controls == QUICK.stamp(one, crafted)).flatten(1).all(1).any()
    assert len(controls.unique(dim=0)) == 30  # a secret for each image


def test_it_warns_where_the_secret_cannot_be_read() -> None:
    assert "60%" in str(QUICK.shortfall({"bits_read": 0.6}))
    assert QUICK.shortfall({"bits_read": 0.96}) is None


def test_plain_surfaces_change_least_and_contrast_counts_squared() -> None:
    """One stripe stands out half as much as another."""
    image = torch.full((1, 1, 32, 32), 0.5)
    image[..., 8], image[..., 24] = 0.6, 0.7
    found = strength(image)[0, 0, 16]
    assert float(found[16]) == pytest.approx(FLAT)
    assert float((found[24] - FLAT) / (found[8] - FLAT)) == pytest.approx(4, rel=1e-3)
    assert strength(torch.zeros(2, 3, 16, 16)).equal(torch.full((2, 1, 16, 16), FLAT))


@pytest.mark.parametrize("shape", [(1, 17, 20), (3, 16, 33)])
def test_sides_need_not_be_multiples_of_eight(shape: tuple[int, int, int]) -> None:
    rng = torch.Generator().manual_seed(0)
    given, secrets = noise(3, shape), torch.ones(3, BITS)
    made = hidden(Encoder(BITS, shape, 4, rng).eval(), given, secrets)
    assert made.shape == given.shape
    assert read(decoder(BITS, shape, rng).eval(), made).shape == (3, BITS)


def test_images_below_sixteen_pixels_are_refused() -> None:
    assert "16 x 16" in str(Issba().check((3, 15, 32), 4))
    assert Issba().check((1, 16, 16), 4) is None
    with pytest.raises(benchkit.DataError, match="4 clean images"):
        stamped(Issba(), noise(2))
