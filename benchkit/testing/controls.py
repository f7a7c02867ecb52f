"""The checks of an attack's ``control``: images with all of a stamp but the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchkit.contracts import checks
from benchkit.testing.check import require
from benchkit.testing.common import alike, check_any_batch, home
from benchkit.testing.repeated import repeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchkit.contracts.attack import Attack
    from benchkit.contracts.scene import Scene

MOST = 0.5
"""Share of changed pixels above which a stamp changes the whole image."""
FLAT = 90
"""Grey level of a constant image, which resampling, sharpening and blurring do not change."""


def check_control(attack: Attack) -> None:
    """``control`` returns uint8 images of the same shape, is repeatable, and does not change its input."""
    where = home(attack)
    given = where.inputs
    made = attack.control(given, where.attacking(attack))
    checks.images(attack.name, "control", where.inputs, made)
    require(alike(given, where.inputs), f"{attack.name}.control writes into its input: start with images.clone()")
    require(
        repeats(lambda: attack.control(where.inputs, where.attacking(attack)), alike),
        f"{attack.name}.control differs between two runs with one seed: draw only from scene.rng",
    )
    stamped = attack.stamp(where.inputs, where.attacking(attack))
    same = alike(made, stamped) and not (attack.benign or attack.natural)
    require(not same, f"{attack.name}.control is its stamp: leave the trigger out")


def check_control_of_most_pixels(attack: Attack) -> None:
    """A stamp that changes most pixels has a control, unless it only adds to pixels or replaces them."""
    where = home(attack)
    images = where.data.test.images
    share = (attack.stamp(images.clone(), where.attacking(attack)) != images).any(1).double().mean()
    if attack.benign or share <= MOST or not alike(attack.control(images.clone(), where.attacking(attack)), images):
        return
    todo = "write control, the same processing without the trigger"
    require(
        attack.adds_only,
        f"{attack.name}.stamp changes {share:.0%} of the pixels, and its control is the clean image: {todo}, "
        "or say adds_only = True if all it does to a pixel is to add to it or to replace it",
    )
    flat = torch.full_like(images[:1], FLAT)
    adds = not alike(attack.stamp(flat.clone(), where.attacking(attack)), flat)
    require(adds, f"{attack.name} says adds_only = True, but adds nothing to an image of one grey level: {todo}")


def check_control_any_count(attack: Attack) -> None:
    """``control`` accepts no image (all test images may be of the target class), one, an odd number and many."""
    any_count(attack, "control", attack.control)


def any_count(attack: Attack, name: str, change: Callable[[Tensor, Scene], Tensor]) -> None:
    """Require that a method of this name accepts any number of images."""
    where = home(attack)

    def run(images: Tensor, scene: Scene) -> Tensor:
        return checks.images(attack.name, f"{name} ({len(images)} images)", images, change(images.clone(), scene))

    run(where.inputs[:0], where.attacking(attack))
    check_any_batch(f"{attack.name}.{name}", run, where, lambda: where.attacking(attack))
