"""What attacks that need no model keep to whatever they are given: stamps, poisoning, and the target."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from attack_scenes import RGB, noise, ready, split, stamped
from benchkit_plugins.attacks.badnets import BadNets
from benchkit_plugins.attacks.blend import Blend
from benchkit_plugins.attacks.sig import Sig
from benchkit_plugins.attacks.trojan.troj_sq import TrojSq
from benchkit_plugins.attacks.wanet import WaNet
from hypothesis import given, settings
from hypothesis import strategies as st

import benchkit

STATIC = [
    BadNets(),
    Blend(),
    Sig(),
    TrojSq(source="random"),
    TrojSq(source="random", mode="replace"),
    WaNet(),
]


@settings(deadline=None, max_examples=40)
@given(
    attack=st.sampled_from(STATIC),
    channels=st.sampled_from([1, 3]),
    height=st.integers(16, 40),
    width=st.integers(16, 40),
    count=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_stamp_contract(
    *, attack: benchkit.Attack, channels: int, height: int, width: int, count: int, seed: int
) -> None:
    shape = (channels, height, width)
    assert attack.check(shape, 4) is None
    images = noise(count, shape, seed)
    before = images.clone()
    first, second = stamped(attack, images), stamped(attack, images)
    assert first.shape == images.shape
    assert first.dtype == torch.uint8
    assert torch.equal(images, before)
    assert torch.equal(first, second)
    assert count == 0 or (first != images).any()


@settings(deadline=None, max_examples=40)
@given(
    attack=st.sampled_from([one for one in STATIC if not isinstance(one, Sig)]),
    count=st.integers(1, 60),
    rate=st.floats(0, 0.5),
    target=st.integers(0, 3),
    mapping=st.sampled_from(["all-to-one", "all-to-all"]),
    seed=st.integers(0, 9),
)
def test_dirty_label_poisoning(
    *, attack: benchkit.Attack, count: int, rate: float, target: int, mapping: str, seed: int
) -> None:
    attack = dataclasses.replace(attack, target=target, mapping=mapping)
    train = split(count, seed=seed)
    here = ready(attack, (1, 16, 16), seed=seed, rate=rate)
    poisoned = attack.poison(train, here)
    wanted = attack.target_labels(train.labels, here)
    assert poisoned.mask.sum() == benchkit.share_of(rate, count)
    assert (train.labels[poisoned.mask] != wanted[poisoned.mask]).all()
    assert torch.equal(poisoned.data.labels, torch.where(poisoned.mask, wanted, train.labels))
    expected = torch.where(poisoned.mask[:, None, None, None], attack.stamp(train.images, here), train.images)
    assert torch.equal(poisoned.data.images, expected)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 60), rate=st.floats(0, 1), share=st.floats(0.01, 1), target=st.integers(0, 3))
def test_clean_label_poisoning(count: int, rate: float, share: float, target: int) -> None:
    attack, train = Sig(target=target, max_share=share), split(count)
    poisoned = attack.poison(train, ready(attack, (1, 16, 16), rate=rate))
    own = train.labels == target
    assert poisoned.mask.sum() == min(benchkit.share_of(rate, count), benchkit.share_of(share, int(own.sum())))
    assert not (poisoned.mask & ~own).any()
    assert torch.equal(poisoned.data.labels, train.labels)
    assert torch.equal(poisoned.data.images[~poisoned.mask], train.images[~poisoned.mask])


@pytest.mark.parametrize("attack", [BadNets(), Sig(max_share=1.0)], ids=str)
@pytest.mark.parametrize(("rate", "poisoned"), [(0.29, 29), (0.57, 57), (0.28, 28)])
def test_a_rate_poisons_all_of_its_images(attack: benchkit.Attack, rate: float, poisoned: int) -> None:
    """0.29 * 100 is a little less than 29 in floats."""
    labels = torch.full((100,), 0 if isinstance(attack, Sig) else 1)
    train = benchkit.Split(noise(100, (1, 16, 16)), labels)
    assert int(attack.poison(train, ready(attack, (1, 16, 16), rate=rate)).mask.sum()) == poisoned


def test_the_share_of_a_class_that_sig_may_poison_is_exact() -> None:
    train = benchkit.Split(noise(100, (1, 16, 16)), torch.zeros(100, dtype=torch.int64))
    assert int(Sig(max_share=0.29).poison(train, ready(Sig(), (1, 16, 16), rate=0.9)).mask.sum()) == 29


@pytest.mark.parametrize("attack", STATIC, ids=str)
def test_targets_that_are_no_class_are_refused(attack: benchkit.Attack) -> None:
    assert "target=4" in str(dataclasses.replace(attack, target=4).check(RGB, 4))
