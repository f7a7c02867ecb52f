"""The grammar of component strings, on the command line, in suites, in nested parameters and in records."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchkit.errors import SpecError

LARGEST_SEED = 2**63 - 1
"""What torch's generators take, and JSON's readers hold."""
MOST_SEEDS = 10_000
"""A larger count is probably meant as a single seed."""


def seeds(text: str) -> tuple[int, ...]:
    """Return seeds: ``3`` means 0, 1, 2; ``0,5,7`` (or ``5,``) means those."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdecimal() for word in words):
        raise SpecError(f"seeds must be a count (3) or a list (0,5,7), got '{text}'")
    if any(len(word) > len(str(LARGEST_SEED)) or int(word) > LARGEST_SEED for word in words):
        raise SpecError(f"a seed is at most {LARGEST_SEED}, got '{text}'")
    numbers = tuple(dict.fromkeys(int(word) for word in words))
    if "," in text:
        return numbers
    if numbers[0] == 0:
        raise SpecError("a count of 0 seeds runs nothing: ask for 1 or more, or write '0,' for the seed 0")
    if numbers[0] > MOST_SEEDS:
        raise SpecError(f"{numbers[0]} seeds are too many: for the seed of that number alone write '{numbers[0]},'")
    return tuple(range(numbers[0]))


PIECE = re.compile(r'([^,=]*)(?:=(\s*"(?:[^"]|"")*"\s*(?=,|\Z)|[^,]*))?(,?)')
QUOTED = re.compile(r'"(?:[^"]|"")*"')
"""The text before ``=``, the value after it, which may be quoted, and the comma that ends a piece."""


def pieces(text: str) -> list[tuple[str, dict[str, str]]]:
    """Split ``badnets:size=5,target=3,blend`` into ``[("badnets", {...}), ("blend", {})]``.

    A piece whose first mark is ``=`` sets a parameter of the component before it; any other piece starts a new
    component. A parameter without a value is a switch that is on: ``control:resize`` is ``control:resize=true``. A
    value with a comma needs double quotes, ``image-folder:root="a,b"``; a quote inside them is doubled.

    Raises:
        SpecError: for an empty piece, a parameter without a component, a repeated parameter, or an open quote.
    """
    found: list[tuple[str, dict[str, str]]] = []
    for before, value, piece in _split(text):
        name, colon, key = before.partition(":")
        if value is not None and not colon:
            name, colon, key = "", ":", before
            if not found:
                raise SpecError(f"'{piece}' is a parameter without a component: write NAME:{piece}")
        elif not name:
            raise SpecError(f"there is an empty name in '{text}': remove the extra comma or colon")
        else:
            found.append((name, {}))
        if colon:
            _give(found[-1], key.strip(), value, piece)
    return found


def _split(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yield (the text before ``=``, the value as written or None, the whole text) of every piece."""
    at, comma = 0, ","
    while comma:
        match = PIECE.match(text, at)
        assert match is not None  # it also matches the empty string
        before, value, comma = match.groups()
        yield before.strip(), value if value is None else value.strip(), match[0].removesuffix(",").strip()
        at = match.end()


def _give(component: tuple[str, dict[str, str]], key: str, value: str | None, piece: str) -> None:
    name, given = component
    if not key or value == "":
        raise SpecError(f"'{piece}' is not NAME:PARAMETER=VALUE")
    if key in given:
        raise SpecError(f"{name} is given {key} twice: leave one out")
    if value is None:
        given[key] = "true"
    elif not value.startswith('"'):
        given[key] = value
    elif len(value) > 1 and QUOTED.fullmatch(value):
        given[key] = value[1:-1].replace('""', '"')
    else:
        raise SpecError(f"the quote in '{piece}' is not closed: write {key}=\"...\", and a quote inside it twice")


def quoted(value: str) -> str:
    """Return a value as written in a spec: in double quotes if it would be read differently without them.

    A quote inside is doubled: ``root="a,b"``, ``root="a ""b"", c"``.
    """
    plain = value and value == value.strip() and "," not in value and not value.startswith('"')
    return value if plain else '"' + value.replace('"', '""') + '"'
