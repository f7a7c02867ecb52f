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
    """Implant nothing: the benign row, which shows what each defense costs without a backdoor."""

    name = "none"
    access: ClassVar[Literal["data", "training", "none"]] = "none"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "none"
    benign = True

    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images unchanged."""
        return images.clone()

    def poison(self, train: Split, scene: Scene) -> Poisoned:
        """Return the training set unchanged."""
        none = train.labels.new_zeros(len(train)).bool()
        return Poisoned(train, none, none)


@dataclass(frozen=True)
class NoDefense(Defense):
    """No defense: the baseline column, the undefended victim."""

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
