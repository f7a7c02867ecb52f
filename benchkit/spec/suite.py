"""Suite files: a request in TOML, with the keys of the options; torch-free."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchkit import files
from benchkit.errors import SpecError, did_you_mean
from benchkit.spec.values import as_text

SUITE_KEYS = (
    *("attacks", "defenses", "datasets", "models", "seeds", "poison_rate", "recipe", "population"),
    *("victims", "retune"),
)


def read_suite(path: Path) -> dict[str, str | bool]:
    """Read a suite TOML: the same strings as the options, or lists of them.

    Raises:
        SpecError: if the file is missing, is not TOML, or has an unknown key or a value of a wrong type.
    """
    with _sentences(path, "suite"):
        return {key: _suite_value(path, key, value) for key, value in read_toml(path, "suite")[1].items()}


def read_toml(path: Path, what: str) -> tuple[str, dict[str, Any]]:
    """Read a TOML file, and return its text and what it holds.

    Args:
        path: the file.
        what: what it is, in errors.

    Raises:
        SpecError: if the file is missing, cannot be read, or is not TOML.
    """
    with _sentences(path, what):
        text = files.read(path, files.TEXT).decode("utf-8-sig")
        return text, tomllib.loads(text)


@contextmanager
def _sentences(path: Path, what: str) -> Iterator[None]:
    """Say in a sentence why a file cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise SpecError(f"there is no {what} file {path}") from None
    except RecursionError:
        raise SpecError(f"{what} {path} cannot be read: lists or tables are nested too deeply in it") from None
    except OSError as error:
        raise SpecError(f"{what} {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{what} {path} cannot be read: {error}") from None
    except ValueError:  # Python refuses integers with more than some thousand digits
        raise SpecError(f"{what} {path} cannot be read: a number in it has too many digits") from None


def _suite_value(path: Path, key: str, value: object) -> str | bool:
    if key not in SUITE_KEYS:
        raise SpecError(f"suite {path} has an unknown key '{key}'{did_you_mean(key, SUITE_KEYS)}")
    return as_text(key, value, f"suite {path}: ")
