"""Two halves of a defender's clean images: one to learn from, one whose scores are those of new images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import benchkit


def halves(clean: benchkit.Split) -> tuple[benchkit.Split, benchkit.Split]:
    """Return every second image of each class, and the others."""
    order = clean.labels.argsort(stable=True)
    return clean[order[::2]], clean[order[1::2]]


def alternate(clean: benchkit.Split) -> tuple[benchkit.Split, benchkit.Split]:
    """Return every second image, and the others, for who knows no labels."""
    return clean[::2], clean[1::2]
