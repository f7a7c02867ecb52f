"""The attacks that wrap others: what they keep, what they pass on, and what they refuse."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from steered import steered
from torch.nn import functional as F

import benchkit
from benchkit.ops.frequency import dct2
from benchkit.spec.registry import load
from benchkit.spec.spec import component
from benchkit.testing import world

WORLD = world.world(3, 32)
REGISTRY = load()


def attack(text: str) -> Any:
    return component(text, "attacks", REGISTRY)


def scene(one: benchkit.Attack, seed: int = 0) -> benchkit.Scene:
    return WORLD.attacking(one, seed=seed)


IMAGES = torch.randint(90, 160, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("band", "inside"), [("high", slice(22, None)), ("low", slice(None, 10))])
def test_only_the_block_of_the_change_is_left(band: str, inside: slice) -> None:
    base = attack("blend:alpha=0.3,mode=convex")
    one = attack(f"invisible:base=blend,base.alpha=0.3,base.mode=convex,band={band},k=10")
    change = dct2(base.stamp(IMAGES, scene(base)).float() - IMAGES.float())
    kept = dct2(one.stamp(IMAGES, scene(one)).float() - IMAGES.float())
    torch.testing.assert_close(kept[..., inside, inside], change[..., inside, inside], atol=6, rtol=0)
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[inside, inside] = False
    rounding = kept[..., outside].square().mean().sqrt()  # uniform rounding has 0.29
    assert rounding < 0.32
    assert change[..., outside].square().mean().sqrt() > 3


@pytest.mark.parametrize(("height", "width", "kept"), [(224, 224, (70, 70)), (28, 28, (9, 9)), (64, 96, (20, 30))])
@pytest.mark.parametrize("band", ["high", "low"])
def test_the_block_is_the_same_part_of_every_spectrum(
    band: str, height: int, width: int, kept: tuple[int, int]
) -> None:
    one, base = attack(f"invisible:base=blend,band={band}"), attack("blend")
    images = torch.full((1, 3, height, width), 100, dtype=torch.uint8)
    change = dct2(base.stamp(images, scene(base)).float() - 100.0)
    left = dct2(one.stamp(images, scene(one)).float() - 100.0)
    inside = torch.zeros(height, width, dtype=torch.bool)
    rows, columns = ((slice(-n, None) if band == "high" else slice(n)) for n in kept)
    inside[rows, columns] = True
    torch.testing.assert_close(left[..., inside], change[..., inside], atol=6, rtol=0)
    assert left[..., ~inside].square().mean().sqrt() < 0.32  # uniform rounding has 0.29


@pytest.mark.parametrize("base", ["badnets", "blend", "nature"])
def test_large_images_keep_enough_of_a_change_to_show(base: str) -> None:
    """Ten of 224 coefficients hold nothing that survives rounding."""
    one = attack(f"invisible:base={base}")
    images = torch.full((1, 3, 224, 224), 100, dtype=torch.uint8)
    assert (one.stamp(images, scene(one)) != images).sum() > 50


def test_a_block_larger_than_the_spectrum_is_refused() -> None:
    with pytest.raises(benchkit.BenchkitError, match="k"):
        attack("invisible:k=33")


def test_the_whole_spectrum_is_the_attack_itself() -> None:
    whole, base = attack("invisible:k=32"), attack("badnets")
    assert torch.equal(whole.stamp(IMAGES, scene(whole)), base.stamp(IMAGES, scene(base)))


def test_a_wrapper_takes_over_what_the_wrapped_attack_is() -> None:
    sig = attack("invisible:base=sig,base.target=2")
    assert (sig.access, sig.label_policy, sig.needs) == ("data", "clean", frozenset())
    train = WORLD.data.train
    made = sig.poison(train, scene(sig))
    assert (train.labels[made.mask] == 2).all()
    assert torch.equal(made.data.labels, train.labels)
    wanted = attack("sig:target=2").target_labels(train.labels, scene(sig))
    assert torch.equal(sig.target_labels(train.labels, scene(sig)), wanted)
    assert attack("invisible:base=troj-sq").needs == {"model"}
    wanet = attack("invisible:base=wanet,base.cross_ratio=0")
    assert (wanet.access, wanet.controls_training()) == ("training", True)
    assert not attack("invisible").controls_training()


def test_wrappers_wrap_wrappers() -> None:
    one = attack("physical:base=invisible,base.base=blend,base.base.alpha=0.5,degrees=0")
    assert one.base.base.alpha == 0.5
    assert str(one) == "physical:base=invisible,base.base=blend,base.base.alpha=0.5,degrees=0.0"
    assert one.stamp(IMAGES, scene(one)).shape == IMAGES.shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("invisible:base=none", "needs an attack to wrap"),
        ("invisible:target=3", "write base.target"),
        ("invisible:base=low-freq", "poisoning=dataset"),
        ("invisible:base=wanet", "cross_ratio=0"),
        ("invisible:base.size=40", "does not fit"),
        ("physical:shrink=0.9,grow=0.8", "swap them"),
        ("physical:base=wanet,base.cross_ratio=0", "add everything=false"),
        ("invisible:base=physical", "add base.everything=false"),
        ("physical:base=physical,everything=false", "add base.everything=false"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(text: str, words: str) -> None:
    assert words in (attack(text).check((3, 32, 32), 10) or "")


def test_an_unmoved_camera_changes_nothing() -> None:
    still = "flip=false,degrees=0,translate=0,shrink=1,grow=1,brightness=0,contrast=0"
    one, base = attack(f"physical:{still}"), attack("badnets")
    assert torch.equal(one.stamp(IMAGES, scene(one)), base.stamp(IMAGES, scene(base)))


def test_each_photograph_is_of_another_pose_within_the_bounds() -> None:
    one = attack("physical:brightness=0,contrast=0,flip=false,border=black")
    white = torch.full((200, 3, 32, 32), 255, dtype=torch.uint8)
    seen = one.rework(white, white, scene(one)).float()[:, 0] / 255
    area = seen.mean((1, 2))
    # Scales of 0.8 to 0.9 leave 0.64 to 0.81 of the area; a shift may push some of it out.
    assert area.max() < 0.84
    assert area.min() > 0.5
    assert area.std() > 0.02
    axis = torch.arange(32.0) - 15.5
    centre = torch.stack([(seen * axis).sum((1, 2)), (seen * axis[:, None]).sum((1, 2))]) / seen.sum((1, 2))
    assert centre.abs().max() < 3.2 / 0.8
    assert centre.std(1).min() > 0.5


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 32, 48)])
def test_beyond_the_border_there_is_black_or_the_mirrored_image(shape: tuple[int, int, int]) -> None:
    white = torch.full((100, *shape), 255, dtype=torch.uint8)
    still = "physical:brightness=0,contrast=0,degrees=180,shrink=0.5"
    mirrored, framed = (
        attack(text).rework(white, white, scene(attack(text))) for text in (f"{still},border=reflect", still)
    )
    assert (mirrored == 255).all()
    assert (framed == 0).flatten(1).any(1).float().mean() > 0.95


@pytest.mark.parametrize("box", [(12, 12), (4, 16)], ids=["square", "bar"])
def test_turns_do_not_shear_images_that_are_no_squares(box: tuple[int, int]) -> None:
    """Whatever the angle, what is bright keeps its spread along its two axes."""
    images = torch.zeros(64, 1, 32, 96, dtype=torch.uint8)
    one = attack("physical:degrees=180,translate=0,shrink=1,grow=1,brightness=0,contrast=0,border=black")
    height, width = box
    images[..., 16 - height // 2 : 16 + height // 2, 48 - width // 2 : 48 + width // 2] = 255
    before, after = spreads(images), spreads(one.rework(images, images, scene(one)))
    torch.testing.assert_close(after[1], before[1], rtol=0.1, atol=0.2)
    upright = after[0][:, 0, 0] > after[0][:, 1, 1]
    assert height == width or 10 < int(upright.sum()) < 54


def spreads(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the covariance of where images (N, 1, H, W) are bright, (N, 2, 2), rows first, and its eigenvalues."""
    weights = images[:, 0].double() / images.double().sum((1, 2, 3))[:, None, None]
    height, width = images.shape[-2:]
    places = torch.cartesian_prod(torch.arange(height).double(), torch.arange(width).double())
    weights = weights.flatten(1)
    away = places - (weights @ places)[:, None]
    covariance = torch.einsum("np,npi,npj->nij", weights, away, away)
    return covariance, torch.linalg.eigvalsh(covariance)


class Fitted:
    """Stands for a scene: keeps what it was asked to train on."""

    def __init__(self, one: benchkit.Attack, train: benchkit.Split) -> None:
        self.device, self.rng = torch.device("cpu"), torch.Generator().manual_seed(5)
        self.poisoned = one.poison(train, scene(one))
        one.train(self.poisoned, cast("benchkit.Scene", self))

    def fit(self, data: benchkit.Split, steering: Any = None) -> None:
        self.data, self.steering = data, steering


def test_every_image_is_photographed_anew_in_each_batch_poisoned_or_clean() -> None:
    train = WORLD.data.train
    there, base = Fitted(attack("physical"), train), attack("badnets")
    rows = torch.arange(0, len(train), 2)
    batch, poisoned = there.data[rows], there.poisoned.mask[rows]
    before = batch.images.clone()
    (first, labels), (second, _) = (steered(there.steering, batch.images, batch.labels, rows) for _ in range(2))
    assert 0 < poisoned.sum() < len(rows) / 2
    for part in (poisoned, ~poisoned):
        for one, other in ((first, before), (second, before), (first, second)):
            assert (one != other)[part].flatten(1).any(1).float().mean() > 0.95
    assert torch.equal(labels, batch.labels)
    assert torch.equal(batch.images, before)
    assert torch.equal(before[poisoned], base.stamp(train.images[rows][poisoned], scene(base)))
    assert (attack("physical").access, attack("physical").controls_training()) == ("training", True)


def test_no_poisoned_image_has_a_frame_that_clean_ones_lack() -> None:
    """Being photographed once, before training, would be a trigger by itself."""
    there = Fitted(attack("physical"), WORLD.data.train)
    photographs, _ = steered(there.steering, there.data.images, there.data.labels, torch.arange(len(there.data)))
    for images in (there.data.images, photographs):
        framed = (images[..., :2, :].float().mean((1, 2, 3)) < 20).float()
        assert abs(framed[there.poisoned.mask].mean() - framed[~there.poisoned.mask].mean()) < 0.25


def test_an_attacker_who_only_has_the_data_photographs_no_clean_image() -> None:
    only = attack("physical:everything=false")
    there = Fitted(only, WORLD.data.train)
    assert there.steering is None
    assert torch.equal(there.data.images[~there.poisoned.mask], WORLD.data.train.images[~there.poisoned.mask])
    plain = attack("badnets").stamp(WORLD.data.train.images[there.poisoned.mask], scene(only))
    assert (there.data.images[there.poisoned.mask] != plain).flatten(1).any(1).all()
    assert (only.access, only.controls_training()) == ("data", False)
    noisy = attack("physical:base=wanet,base.cross_ratio=0,everything=false")
    assert (noisy.access, noisy.controls_training(), noisy.check((3, 32, 32), 4)) == ("training", True, None)


def test_a_mirrored_photograph_is_the_mirrored_image() -> None:
    one = attack("physical:degrees=0,translate=0,shrink=1,grow=1,brightness=0,contrast=0")
    clean = IMAGES[:1].expand(64, -1, -1, -1).contiguous()
    seen = one.rework(clean, clean, scene(one))
    mirrored = (seen == clean.flip(3)).flatten(1).all(1)
    same = (seen == clean).flatten(1).all(1)
    assert (mirrored | same).all()
    assert 15 < int(mirrored.sum()) < 49


def test_the_control_is_the_camera_without_the_trigger() -> None:
    one = attack("physical:border=black")
    control = one.control(IMAGES, scene(one))
    assert not torch.equal(control, IMAGES)
    smaller = F.avg_pool2d(control.float(), 8)[..., 0, 0].mean()
    assert smaller < IMAGES.float().mean()  # black from beyond the border
    assert not torch.equal(control, one.stamp(IMAGES, scene(one)))


def test_a_wrapper_is_an_attack_of_the_public_kind() -> None:
    assert issubclass(type(attack("invisible")), benchkit.AttackWrapper)
