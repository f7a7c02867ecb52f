"""The checks of how an attack poisons a training set."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from benchkit.contracts import checks
from benchkit.contracts.attack import Attack
from benchkit.params.component import fields_of
from benchkit.protocol import share_of
from benchkit.testing.check import require
from benchkit.testing.common import alike, home, unchanged
from benchkit.testing.repeated import repeats
from benchkit.testing.world import RATE, World, equipped

if TYPE_CHECKING:
    from benchkit.contracts.data import Poisoned


def check_poison_mask(attack: Attack) -> None:
    """The masks mark exactly the changed images, and the input training set does not change."""
    where = home(attack)
    train = equipped(where.data.train, attack)
    checks.poisoned(attack, where.data.train, covering(attack).poison(train, where.poisoning(attack)))
    require(unchanged(train, where.data.train), f"{attack.name}.poison writes into the training set: clone it")


def check_poison_count(attack: Attack) -> None:
    """At least one image and at most the share ``rate`` is poisoned; none by a benign attack."""
    count, most = int(poisoned_by(attack, home(attack)).mask.sum()), share_of(RATE, len(home(attack).data.train))
    if attack.benign:
        require(count == 0, f"{attack.name} says benign = True, but poisons {count} images")
    else:
        require(count > 0, f"{attack.name}.poison poisons nothing at a rate of {RATE:.0%}")
        require(count <= most, f"{attack.name}.poison poisons {count} images where the rate allows {most}")


def check_cover_count(attack: Attack) -> None:
    """At least one image and at most the share ``cover_rate`` is a cover; none at a cover rate of 0, or without one."""
    where = home(attack)
    for asked in (0.0, RATE):
        one, train = covering(attack, asked), equipped(where.data.train, attack)
        count, most = int(one.poison(train, where.poisoning(attack)).cover.sum()), share_of(one.cover_rate, len(train))
        todo = "derive the attack from benchkit.CoverImages, and draw cover_rows at self.cover_rate"
        require(count <= most, f"{attack.name}.poison makes {count} covers where its rate allows {most}: {todo}")
        require(count > 0 or not most, f"{attack.name}.poison makes no cover at a cover rate of {asked:.0%}: {todo}")


def check_poison_labels(attack: Attack) -> None:
    """Dirty labels are the target, clean ones stay; dirty-label attacks poison source classes, and not the target's."""
    where = home(attack)
    poisoned, true = poisoned_by(attack, where), where.data.train.labels
    got, rows = poisoned.data.labels, poisoned.mask
    wanted = attack.target_labels(true, where.attacking(attack))
    if attack.label_policy == "clean":
        require(alike(got, true), f"{attack.name} says label_policy = 'clean', but its poison changes labels")
    elif attack.label_policy == "dirty":
        right = alike(got[rows], wanted[rows])
        require(right, f"{attack.name} says label_policy = 'dirty', but poisoned labels are not target_labels()")
        moved = bool((true[rows] != wanted[rows]).all())
        require(moved, f"{attack.name}.poison takes images that already have the target's label: choose others")
        meant = bool(attack.is_source(true[rows]).all())
        require(
            meant, f"{attack.name}.poison takes images of other than its source classes: ask self.is_source(labels)"
        )
        shown = bool(attack.carries(equipped(where.data.train, attack))[rows].all())
        require(shown, f"{attack.name}.poison takes images without the trigger: ask self.carries(train)")


def check_poison_repeats(attack: Attack) -> None:
    """``poison`` chooses the same images for the same seed."""
    where = home(attack)
    require(
        repeats(lambda: poisoned_by(attack, where), _same_poison),
        f"{attack.name}.poison differs between two runs with one seed: draw only from scene.rng",
    )


def check_test_strength(attack: Attack) -> None:
    """``stamp`` follows ``scene.strength`` if the attack has a ``test_strength``; what is poisoned does not."""
    where = home(attack)
    name, images = attack.name, where.data.test.images
    declared = attack.test_strength
    fine = isinstance(declared, int | float) and declared > 0
    require(fine, f"{name}.test_strength is {declared!r}: use a number above 0, or derive it from StrengthAtTest")
    if attack.benign or attack.learns:
        return
    scenes = (dataclasses.replace(where.attacking(attack), level=level) for level in (1.0, 1 + declared))
    weak, strong = (attack.stamp(images.clone(), scene) for scene in scenes)
    follows, may = not alike(weak, strong), declared != 1 or has_parameter(attack, "test_strength")
    require(may or not follows, f"{name}.stamp reads scene.strength: derive the attack from benchkit.StrengthAtTest")
    require(follows or not may, f"{name} has a test_strength that its stamp ignores: scale it by scene.strength")
    other = with_parameter(attack, "test_strength", 1 + declared)
    same = _same_poison(poisoned_by(attack, where), poisoned_by(other, where))
    require(same, f"{name}.poison depends on test_strength: use scene.strength, which is 1 in training")


def has_parameter(attack: Attack, name: str) -> bool:
    """Return whether an attack, or the attack that it wraps, has a parameter of this name."""
    inner = (one for one in attack.nested().values() if isinstance(one, Attack))
    return name in fields_of(type(attack)) or any(has_parameter(one, name) for one in inner)


def with_parameter(attack: Attack, name: str, value: float) -> Attack:
    """Return an attack with this value, its own or that of the attack it wraps; without one, it stays as it is."""
    inner = {key: one for key, one in attack.nested().items() if isinstance(one, Attack)}
    changes: dict[str, Any] = {key: with_parameter(one, name, value) for key, one in inner.items()}
    changes |= {name: value} if name in fields_of(type(attack)) else {}
    return dataclasses.replace(attack, **changes)


def covering(attack: Attack, rate: float = RATE) -> Attack:
    """Return an attack with this cover rate, its own or that of the attack it wraps; without one, it stays as it is."""
    return with_parameter(attack, "cover_rate", rate)


def poisoned_by(attack: Attack, where: World) -> Poisoned:
    """Return a copy of a world's training set, poisoned by an attack, and with covers if it makes any."""
    return covering(attack).poison(equipped(where.data.train, attack), where.poisoning(attack))


def _same_poison(first: Poisoned, second: Poisoned) -> bool:
    masks = alike(first.mask, second.mask) and alike(first.cover, second.cover)
    return unchanged(first.data, second.data) and masks
