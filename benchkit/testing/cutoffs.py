"""The check of the cutoffs of input detectors and model detectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.contracts.kinds import InputDetector, ModelDetector
from benchkit.testing.check import require
from benchkit.testing.common import home
from benchkit.testing.repeated import repeats

if TYPE_CHECKING:
    from benchkit.contracts.defense import Defense
    from benchkit.contracts.scene import Scene
    from benchkit.testing.world import World


def check_cutoff(defense: Defense) -> None:
    """The cutoff is a finite number, and the same for the same seed."""
    if isinstance(defense, InputDetector | ModelDetector):
        where, name = home(defense), f"{defense.name}.{_cut(defense).__name__}"
        sentence = f"{name} differs between two runs with one seed: draw only from scene.rng"
        require(repeats(lambda: cutoff(defense, where), lambda first, second: first == second), sentence)


def _cut(defense: InputDetector | ModelDetector) -> Callable[[Scene], float]:
    return defense.flags_above if isinstance(defense, ModelDetector) else defense.cutoff


def cutoff(defense: InputDetector | ModelDetector, where: World) -> float:
    """Return the checked cutoff of a defense in a world."""
    method = _cut(defense)
    return checks.number(defense.name, method.__name__, method(where.defending(defense)))
