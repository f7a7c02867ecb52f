"""Source classes: the classes whose images an attacker wants to turn, as text and as numbers."""

from __future__ import annotations

from collections.abc import Callable

from benchkit.errors import SpecError

ALL = "all"


def class_numbers(text: str, name: str = "source") -> tuple[int, ...]:
    """Return the classes in a text such as ``1`` or ``1+5``, in order; nothing for ``all``.

    Args:
        text: the value of a parameter.
        name: that of the parameter.

    Raises:
        SpecError: for any other text.
    """
    words = [word.strip() for word in text.split("+")]
    if words == [ALL]:
        return ()
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words):
        raise SpecError(f"{name} must be numbers of classes such as 1 or 1+5, or {ALL}, got '{text}'")
    return tuple(sorted({int(word) for word in words}))


def sources_fault(sources: Callable[[], tuple[int, ...]], classes: int, target: int, mapping: str) -> str | None:
    """Return why an attack cannot have these source classes, or None.

    Args:
        sources: returns them, or raises SpecError.
        classes: the number of classes.
        target: the target class, or below 0 if one is drawn that is no source class.
        mapping: ``all-to-one``, or another one, whose targets may be source classes.
    """
    try:
        chosen = sources()
    except SpecError as error:
        return str(error)
    beyond = [label for label in chosen if not 0 <= label < classes]
    if beyond:
        return f"source class {beyond[0]} is not a class: this dataset has {classes} (0 to {classes - 1})"
    if mapping != "all-to-one":
        return None
    if target in chosen:
        return f"class {target} is both the target and a source class: choose another target or other source classes"
    if target < 0 and len(chosen) == classes:
        return "all classes are source classes, so no target is left to draw: leave one out"
    return None
