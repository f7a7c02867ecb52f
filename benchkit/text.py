"""Text from elsewhere, made fit to be shown, and the only door through which any text reaches a terminal."""

from __future__ import annotations

import re

LONGEST, LONGEST_WORD = 1500, 300
"""Characters of an error, and of one word in it, that anybody reads."""


def printable(text: str) -> str:
    """Return text on one line without control characters: what is not ours must not steer anyone's terminal."""
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def shown(text: str) -> str:
    """Return text, of one line or many, with what would steer a terminal as escapes that JSON reads, too."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return text as it is, or of what is longer, it or a word in it, the start and the end."""
    words = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda found: _ends(found[0], LONGEST_WORD), text)
    return _ends(words, longest)


def _ends(text: str, longest: int) -> str:
    gone = len(text) - longest
    if gone <= 0:
        return text
    return f"{text[: longest * 2 // 3]} [... {gone} characters ...] {text[-longest // 3 :]}"


def describe_error(error: BaseException) -> str:
    """Return an exception that is not benchkit's as part of a sentence: its type and its message."""
    text = shortened(printable(str(error)).strip())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def say(text: str, *, err: bool = False) -> None:
    """Print a line or a table: names in it may be anybody's."""
    import click

    click.echo(shown(text), err=err)


def warn(text: str) -> None:
    """Print a message on one line of stderr, without the middle of what is longer than anyone reads."""
    say(shortened(printable(text)), err=True)


def hand_out(document: str) -> None:
    """Print a document for a program as it is: what records say was made printable when they were read."""
    import click

    click.echo(document, nl=False)
