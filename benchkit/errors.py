"""The exceptions that benchkit raises on purpose; each message is written for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchkit.text import describe_error


class Ending(BaseException):
    """benchkit is ended from outside, for example by a signal: not a plugin's error, so nothing may catch it."""


class BenchkitError(Exception):
    """An error that a user can fix. The text is one sentence that says what to do.

    The command line prints it without a traceback and exits with ``exit_code``.
    """

    exit_code = 2


class SpecError(BenchkitError):
    """A name, parameter, option or suite file is invalid."""


class DataError(BenchkitError):
    """A dataset is missing, damaged, or has an unusable shape."""


class StoreError(BenchkitError):
    """The results folder cannot be read or written."""


class DeviceError(BenchkitError):
    """The requested device does not exist."""


class NothingToRun(BenchkitError):
    """The plan is empty."""

    exit_code = 3


class ContractError(BenchkitError):
    """A plugin returned an invalid result, or used something that it did not declare.

    Within a cell, it fails the cell, and the run continues.
    """


@contextmanager
def plugin_errors(name: str) -> Iterator[None]:
    """Turn exceptions of a plugin's component into a sentence that names it.

    Raises:
        ContractError: instead of any other exception, except those that end benchkit.
    """
    try:
        yield
    except (BenchkitError, KeyboardInterrupt, Ending):
        raise
    except BaseException as error:
        raise ContractError(f"{name} raised {describe_error(error)}") from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
