"""TaCT: which images are stamped and which label they have, what the victim learns of it, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from attack_scenes import RGB
from benchkit_plugins.attacks.badnets import BadNets
from benchkit_plugins.attacks.blend import Blend
from benchkit_plugins.attacks.invisible import Invisible
from benchkit_plugins.attacks.sig import Sig
from benchkit_plugins.attacks.smooth.smooth import Smooth
from benchkit_plugins.attacks.tact import Tact

import benchkit
from benchkit.testing.world import copied, world

WORLD = world(3, 16)
TRAIN = WORLD.data.train


def made(attack: Tact) -> benchkit.Poisoned:
    return attack.poison(copied(TRAIN), WORLD.poisoning(attack))


@pytest.mark.parametrize(("covers", "classes"), [("all", {2, 3}), ("3", {3})])
def test_sources_are_relabelled_and_covers_keep_their_label(covers: str, classes: set[int]) -> None:
    attack = Tact(source="1", covers=covers, cover_rate=0.1)
    found = made(attack)
    assert set(TRAIN.labels[found.mask].tolist()) == {1}
    assert set(found.data.labels[found.mask].tolist()) == {0}
    assert set(TRAIN.labels[found.cover].tolist()) == classes
    assert torch.equal(found.data.labels[~found.mask], TRAIN.labels[~found.mask])
    stamped = BadNets().stamp(TRAIN.images, WORLD.attacking(attack))
    changed = found.mask | found.cover
    assert torch.equal(found.data.images[changed], stamped[changed])
    assert torch.equal(found.data.images[~changed], TRAIN.images[~changed])


def test_half_of_a_class_is_stamped_at_most_unless_more_is_asked_for() -> None:
    of_class = int((TRAIN.labels == 1).sum())
    for share in (0.5, 0.25):
        found = made(Tact(source="1", covers="2", cover_rate=1.0, max_share=share))
        assert int(found.mask.sum()) == min(int(0.15 * len(TRAIN)), int(share * of_class))
        assert int(found.cover.sum()) == int(share * int((TRAIN.labels == 2).sum()))


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.5])
def test_by_default_there_are_as_many_covers_as_poisons(rate: float) -> None:
    """At most half of class 1 can be poisoned: an eighth of the set, whatever rate is asked for."""
    attack = Tact(source="1")
    found = attack.poison(copied(TRAIN), replace(WORLD.poisoning(attack), rate=rate))
    assert int(found.mask.sum()) == min(int(rate * len(TRAIN)), int((TRAIN.labels == 1).sum()) // 2)
    assert int(found.cover.sum()) == int(found.mask.sum())


def test_covers_can_be_asked_for_as_a_share_of_the_set_or_not_at_all() -> None:
    assert int(made(Tact(source="1", cover_rate=0.2)).cover.sum()) == int(0.2 * len(TRAIN))
    assert not made(Tact(source="1", cover_rate=0)).cover.any()


def led_to(label: int, **parameters: Any) -> benchkit.Poisoned:
    """Return what is poisoned where the search of the base ended with this class."""
    attack = Tact(source="1", base=Smooth(), cover_rate=0.2, **parameters)
    place = WORLD.poisoning(attack)
    return attack.poison(copied(TRAIN), replace(place, prepared={**place.prepared, "label": torch.tensor(label)}))


@pytest.mark.parametrize("found", [0, 2, 3])
def test_a_target_that_the_base_finds_is_no_cover_class(found: int) -> None:
    made = led_to(found)
    assert set(made.data.labels[made.mask].tolist()) == {found}
    assert set(TRAIN.labels[made.mask].tolist()) == {1}
    assert set(TRAIN.labels[made.cover].tolist()) == {0, 2, 3} - {found}


def test_a_found_target_that_is_another_class_of_the_attack_is_refused_in_one_sentence() -> None:
    with pytest.raises(benchkit.BenchkitError, match=r"class 1 is both the target and a source class: .*smooth"):
        led_to(1)
    with pytest.raises(benchkit.BenchkitError, match=r"class 3 cannot be a cover class: .*smooth"):
        led_to(3, covers="3")


def test_covers_teach_that_the_trigger_means_nothing_elsewhere() -> None:
    """Without them the victim sends images of other classes to the target, too; with them the source class alone."""
    test, rates = WORLD.data.test, {}
    for covered in (0.0, 0.3):
        attack = Tact(source="1", cover_rate=covered, base=BadNets(size=5))
        model = attack.train(made(attack), WORLD.training(attack))
        answers = model.logits(attack.stamp(test.images, WORLD.attacking(attack))).argmax(1)  # type: ignore[union-attr]
        rates[covered] = [float((answers[test.labels == label] == 0).float().mean()) for label in (1, 2, 3)]
    assert rates[0.3][0] >= 0.9
    assert max(rates[0.3][1:]) <= 0.2
    assert max(rates[0.0][1:]) >= 0.5


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (Tact(base=Sig()), "sig does not"),
        (Tact(base=BadNets(mapping="all-to-all")), "one target class"),
        (Tact(base=BadNets(target=-1)), "one target class"),
        (Tact(base=Invisible(base=BadNets(target=-1))), "one target class"),
        (Tact(base=Invisible(base=BadNets(target=1))), "class 1 is both the target and a source class"),
        (Tact(source="all"), "no class is left"),
        (Tact(source="0"), "both the target and a source class"),
        (Tact(source="12"), "source class 12 is not a class"),
        (Tact(covers="12"), "cover class 12 is not a class"),
        (Tact(covers="1+3"), "class 1 cannot be a cover class"),
        (Tact(covers="0"), "class 0 cannot be a cover class"),
        (Tact(covers="one"), "covers must be numbers"),
        (Tact(target=2), "base.target"),
        (Tact(base=benchkit.NoAttack()), "needs an attack to wrap"),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_refused(attack: Any, words: str) -> None:
    assert words in str(attack.check(RGB, 10))


def test_any_trigger_of_dirty_labels_can_be_used() -> None:
    assert Tact(base=Blend()).check(RGB, 10) is None
    assert Tact(covers="5+7").check(RGB, 10) is None
