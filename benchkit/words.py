"""Text from elsewhere, made fit to be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text on one line without control characters: what is not ours must not steer anyone's terminal."""
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def told(error: BaseException) -> str:
    """Return an exception that is not benchkit's as part of a sentence: its type and its message."""
    text = printable(str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
