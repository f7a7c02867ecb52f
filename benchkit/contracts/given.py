"""What a defense is given, by what it declares: of clean images, of a victim, and of its training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchkit.contracts.answers import answers
from benchkit.contracts.data import Split, Unlabelled

if TYPE_CHECKING:
    from benchkit.contracts.defense import Defense
    from benchkit.models.classifier import Classifier


def held_by(defense: Defense, clean: Split | None) -> Split | None:
    """Return what a defense is given of clean images: all with labels, the images alone, or nothing."""
    if clean is None or not defense.clean:
        return None
    return Split(clean.images, clean.labels) if defense.labelled else Unlabelled(clean.images)


def given_to(
    defense: Defense, victim: Classifier | None, train: Split | None, *, grant: bool = False
) -> dict[str, Any]:
    """Return the fields of a scene that hold what a defense is given of a victim, and of its training set.

    Args:
        defense: whose needs decide.
        victim: a copy of its own, or None where there is none.
        train: the victim's training set, or None where there is none.
        grant: give the whole victim, also where the defense does not declare that it needs it.
    """
    return {
        "granted": victim if grant or "model" in defense.needs else None,
        "answers": answers(victim, defense.needs),
        "known": train if defense.asks_train() else None,
    }
