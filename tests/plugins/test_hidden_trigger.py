"""The hidden trigger: what its poisons look like, what they feel like, and what they do not show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from attack_scenes import RGB, flat, natural, scene
from benchkit_plugins.attacks.hidden_trigger import HiddenTrigger, greedy_pairs
from crafted_triggers import model
from torch import Tensor

import benchkit
from benchkit import testing
from benchkit.testing.world import CLASSES, world

QUICK = HiddenTrigger(steps=40, target=2)
TOY = world(3, 16)


def train(count: int = 120) -> benchkit.Split:
    return benchkit.Split(natural(count, 32), torch.arange(count) % 4)


def prepared(attack: HiddenTrigger) -> benchkit.Tensors:
    return attack.prepare(scene(RGB, seed=1))


def poisoned(attack: HiddenTrigger, rate: float = 0.1, seed: int = 2) -> benchkit.Poisoned:
    place = scene(RGB, seed=seed, rate=rate, prepared=prepared(attack), granted=model())
    return attack.poison(train(), place)


def windows(images: Tensor, size: int) -> Tensor:
    """Return every window of each image, less its mean and of norm 1: float (N, windows, C * size * size)."""
    parts = torch.nn.functional.unfold(images.float(), size).transpose(1, 2)
    centred = parts - parts.mean(2, keepdim=True)
    found: Tensor = centred / centred.norm(dim=2, keepdim=True).clamp(min=1e-6)
    return found


def test_poisons_are_images_of_the_target_near_their_own_and_keep_their_labels() -> None:
    clean, made = train(), poisoned(QUICK)
    assert made.mask.sum() == 12
    assert set(clean.labels[made.mask].tolist()) == {2}
    assert torch.equal(made.data.labels, clean.labels)
    change = (made.data.images.int() - clean.images.int()).abs().amax((1, 2, 3))
    assert change[made.mask].max() == QUICK.eps, "the bound holds after rounding, and is used"
    assert not change[~made.mask].any()


def test_no_training_image_shows_the_patch_and_every_stamped_one_does() -> None:
    patch = windows(prepared(QUICK)["patch"][None], QUICK.size)[0, 0]
    shown = poisoned(QUICK)
    assert (windows(shown.data.images, QUICK.size) @ patch).max() < 0.9
    stamped = QUICK.stamp(train().images, scene(RGB, prepared=prepared(QUICK)))
    assert (windows(stamped, QUICK.size) @ patch).amax(1).min() > 0.999


def test_their_features_come_near_those_of_the_patched_images_they_are_paired_with() -> None:
    clean, net, attack = train(), model(), HiddenTrigger(target=2)
    patched = attack.stamp(clean.images[clean.labels == 1][:12], scene(RGB, prepared=prepared(attack)))
    images, wanted = clean.images[clean.labels == 2][:12], net.features(patched)
    moved = attack._moved(images, patched, net)
    before, after = (
        distances.gather(1, greedy_pairs(distances)[:, None]).median()
        for distances in (torch.cdist(net.features(one), wanted) for one in (images, moved))
    )
    assert after < before / 5


def test_the_cap_on_the_share_of_the_class_counts() -> None:
    assert poisoned(HiddenTrigger(steps=1, target=2, max_share=0.2), rate=0.25).mask.sum() == 6


def test_the_patch_is_at_another_place_in_each_image_and_nowhere_else() -> None:
    stamped = QUICK.stamp(flat(0, count=500), scene(RGB, prepared={"patch": torch.full((3, 8, 8), 9).byte()}))
    changed = stamped[:, 0] > 0
    assert (changed.sum((1, 2)) == 64).all()
    assert len(changed.flatten(1).float().argmax(1).unique()) > 200


def test_pairs_are_the_closest_first_and_use_every_source_once() -> None:
    distances = torch.tensor([[1.0, 2.0, 9.0], [0.5, 3.0, 9.0], [4.0, 5.0, 6.0]])
    assert greedy_pairs(distances).tolist() == [1, 0, 2]
    many = torch.rand(40, 40, generator=torch.Generator().manual_seed(0))
    assert greedy_pairs(many).sort().values.tolist() == list(range(40))
    assert greedy_pairs(many[:10]).unique().numel() == 10


@pytest.mark.parametrize(
    ("attack", "words"),
    [(HiddenTrigger(size=40), "does not fit"), (HiddenTrigger(mapping="all-to-all"), "mapping=all-to-one")],
)
def test_what_it_cannot_do_is_refused(attack: HiddenTrigger, words: str) -> None:
    assert words in str(attack.check(RGB, 10))


@pytest.mark.parametrize("check", testing.checks(HiddenTrigger(victim="head", steps=3)), ids=str)
def test_with_the_attackers_features_it_keeps_to_the_contracts(check: testing.Check) -> None:
    check()


def test_a_new_last_layer_is_all_that_is_trained_on_the_attackers_features() -> None:
    attack = HiddenTrigger(victim="head", size=4, steps=3)
    place, test = TOY.training(attack), TOY.data.test
    trained = attack.train(attack.poison(TOY.data.train, TOY.poisoning(attack)), place)
    begun = place.model.state()
    moved = {name for name, value in trained.state().items() if not torch.equal(value, begun[name])}
    assert moved == {name for name, value in begun.items() if value.shape[:1] == (CLASSES,)}
    assert any("running_mean" in name for name in begun), "batch statistics are among what stays"
    assert torch.equal(trained.features(test.images), place.model.features(test.images))
    assert (trained.logits(test.images).argmax(1) == test.labels).float().mean() > 0.9


STRONG = HiddenTrigger(victim="head", steps=60, eps=32)
"""Strong enough for the small network of the toy world, whose features say little of a patch."""


def test_poisons_feel_like_patched_images_and_not_like_the_same_images_without_a_patch() -> None:
    clean, net = TOY.data.train, TOY.clean_model
    made = STRONG.poison(clean, TOY.poisoning(STRONG))
    sources = clean.images[clean.labels != 0]
    patched = STRONG.stamp(sources, TOY.attacking(STRONG))
    felt, with_patch, without = (net.features(one) for one in (made.data.images[made.mask], patched, sources))
    nearer = torch.cdist(felt, with_patch).amin(1) < torch.cdist(felt, without).amin(1)
    assert nearer.float().mean() > 0.9


def test_with_the_attackers_features_the_patch_leads_to_the_target() -> None:
    test, rates = TOY.data.test, []
    for seed in range(3):
        made = STRONG.poison(TOY.data.train, TOY.poisoning(STRONG, seed=seed))
        patched = STRONG.stamp(test.images[test.labels != 0], TOY.attacking(STRONG, seed=seed))
        sets = (made, replace(made, data=TOY.data.train))
        victims = (STRONG.train(one, TOY.training(STRONG, seed=seed)) for one in sets)
        rates.append([float((victim.logits(patched).argmax(1) == 0).float().mean()) for victim in victims])
    poisoned_rate, clean_rate = torch.tensor(rates).mean(0).tolist()
    assert poisoned_rate > 0.6
    assert clean_rate < 0.1, "a head that was trained on clean images sees the patch as nothing"
