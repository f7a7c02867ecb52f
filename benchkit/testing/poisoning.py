"""The checks of how an attack poisons a training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.protocol import share_of
from benchkit.testing.common import alike, copied, home, repeats, require, unchanged
from benchkit.testing.world import RATE, World

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.data import Poisoned


def check_poison_mask(attack: Attack) -> None:
    """The mask marks exactly the changed images, and the input training set does not change."""
    where = home(attack)
    train = copied(where.data.train)
    checks.poisoned(attack.name, where.data.train, attack.poison(train, where.poisoning(attack)))
    require(unchanged(train, where.data.train), f"{attack.name}.poison writes into the training set: clone it")


def check_poison_count(attack: Attack) -> None:
    """At least one image and at most the share ``rate`` is poisoned; none by a benign attack."""
    count, most = int(poisoned_by(attack, home(attack)).mask.sum()), share_of(RATE, len(home(attack).data.train))
    if attack.benign:
        require(count == 0, f"{attack.name} says benign = True, but poisons {count} images")
    else:
        require(count > 0, f"{attack.name}.poison poisons nothing at a rate of {RATE:.0%}")
        require(count <= most, f"{attack.name}.poison poisons {count} images where the rate allows {most}")


def check_poison_labels(attack: Attack) -> None:
    """Dirty labels are the target, clean ones do not change, and dirty-label attacks poison no target-class image."""
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


def check_poison_repeats(attack: Attack) -> None:
    """``poison`` chooses the same images for the same seed."""
    where = home(attack)
    require(
        repeats(lambda: poisoned_by(attack, where), _same_poison),
        f"{attack.name}.poison differs between two runs with one seed: draw only from scene.rng",
    )


def poisoned_by(attack: Attack, where: World) -> Poisoned:
    """Return a copy of a world's training set, poisoned by an attack."""
    return attack.poison(copied(where.data.train), where.poisoning(attack))


def _same_poison(first: Poisoned, second: Poisoned) -> bool:
    return unchanged(first.data, second.data) and alike(first.mask, second.mask)
