"""The two reference points of every matrix: no attack (the benign row) and no defense (the baseline column)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Poisoned, Split
from benchkit.contracts.defense import Defense
from benchkit.contracts.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.scene import Scene


@dataclass(frozen=True)
class NoAttack(Attack):
    """Implant nothing: the benign row, which shows what each defense costs when there is nothing to find."""

    name = "none"
    access: ClassVar[Literal["data", "training", "none"]] = "none"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "none"
    benign = True

    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images as they are."""
        return images.clone()

    def poison(self, train: Split, scene: Scene) -> Poisoned:
        """Return the training set as it is."""
        return Poisoned(train, train.labels.new_zeros(len(train)).bool())


@dataclass(frozen=True)
class NoDefense(Defense):
    """Defend nothing: the baseline column, the victim as the attack left it."""

    name = "none"
    stage: ClassVar[str] = "none"
    kind: ClassVar[str] = "baseline"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})


@hookimpl
def benchkit_attacks() -> Iterable[type[Attack]]:
    """Offer the benign row."""
    return [NoAttack]


@hookimpl
def benchkit_defenses() -> Iterable[type[Defense]]:
    """Offer the baseline column."""
    return [NoDefense]
