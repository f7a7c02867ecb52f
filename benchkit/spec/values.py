"""What an option may be given as, in a suite file or from Python, and the text that stands for it; torch-free."""

from __future__ import annotations

from numbers import Real

from benchkit.errors import SpecError
from benchkit.params.component import Component
from benchkit.text import printable, shortened

LISTS = (list, tuple, range)
FLAGS = ("victims", "retune")
"""Options that are true or false."""


def as_text(name: str, value: object, where: str = "") -> str | bool:
    """Return an option's value as it is typed on the command line; ``FLAGS`` are true or false.

    Args:
        name: the option, such as ``attacks``.
        value: text, a number or a component, or a list of them; of ``seeds`` a list is never a count.
        where: what to begin a refusal with.

    Raises:
        SpecError: when it is anything else.
    """
    if isinstance(value, bool) != (name in FLAGS):
        wanted = "true or false" if name in FLAGS else "text, a number or a list"
        raise SpecError(f"{where}{name} must be {wanted}, got {_told(value)}")
    if isinstance(value, bool):
        return value
    items = list(value) if isinstance(value, LISTS) else [value]
    if not all(isinstance(item, str | Real | Component) and not isinstance(item, bool) for item in items):
        raise SpecError(f"{where}{name} must be text, a number or a list of them, got {_told(value)}")
    trailing = "," if name == "seeds" and isinstance(value, LISTS) else ""
    return ",".join(str(item) for item in items) + trailing


def given_components(value: object) -> list[Component]:
    """Return the components, rather than texts, that an option's value holds."""
    items = value if isinstance(value, LISTS) else [value]
    return [item for item in items if isinstance(item, Component)]


def _told(value: object) -> str:
    return shortened(printable(repr(value)))
