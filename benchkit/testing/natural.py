"""The check of triggers that are in the images already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchkit.contracts.natural import NaturalTrigger
from benchkit.testing.check import require
from benchkit.testing.common import home
from benchkit.testing.world import equipped

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack


def check_natural(attack: Attack) -> None:
    """``carries`` says which images can have the trigger; only a ``NaturalTrigger`` finds it there already."""
    where = home(attack)
    test = equipped(where.data.test, attack)
    carries = attack.carries(test)
    fine = carries.dtype == torch.bool and carries.shape == (len(test),)
    require(fine, f"{attack.name}.carries must return bool ({len(test)},), one per image")
    own = isinstance(attack, NaturalTrigger)
    todo = "derive the attack from benchkit.NaturalTrigger exactly if it stamps nothing"
    require(attack.natural == own, f"{attack.name}.natural is {attack.natural!r}: {todo}")
