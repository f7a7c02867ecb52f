"""Makes foreign text safe to show; all output to a terminal goes through this module."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST, LONGEST_WORD = 1500, 300
"""Maximum length of an error message, and of one word in it."""


def printable(text: str) -> str:
    """Return text on one line without control characters: foreign text must not control the terminal."""
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def shown(text: str) -> str:
    """Return text of any number of lines, with control characters as escapes that are also valid in JSON."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return text with only the start and the end of words, or of the whole, that are too long."""
    words = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda found: _ends(found[0], LONGEST_WORD), text)
    return _ends(words, longest)


def _ends(text: str, longest: int) -> str:
    gone = len(text) - longest
    if gone <= 0:
        return text
    return f"{text[: longest * 2 // 3]} [... {gone} characters ...] {text[-longest // 3 :]}"


def describe_error(error: BaseException) -> str:
    """Return a foreign exception as part of a sentence: its type and its message."""
    text = shortened(printable(str(error)).strip())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def source_classes_named(classes: Sequence[int]) -> str:
    """Return the source classes of an attack in words, such as ``source classes 1, 5``."""
    return f"source class{'es' if len(classes) > 1 else ''} {', '.join(map(str, classes))}"


def say(text: str, *, err: bool = False) -> None:
    """Print a line or a table, which may contain foreign names."""
    import click

    click.echo(shown(text), err=err)


def warn(text: str) -> None:
    """Print a message on one line of stderr; long messages lose their middle."""
    say(shortened(printable(text)), err=True)


def hand_out(document: str) -> None:
    """Print a document for a program unchanged: the texts of records were made printable when they were read."""
    import click

    click.echo(document, nl=False)
