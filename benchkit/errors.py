"""The few exceptions benchkit raises on purpose; each message is written for the person who reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchkit.text import describe_error


class Ending(BaseException):
    """How benchkit is ended from outside, by a signal say: no plugin's doing, so that nothing may hold it up."""


class BenchkitError(Exception):
    """Something a user can put right. The text is one sentence that says what to do.

    The command line prints it without a traceback and exits with ``exit_code``.
    """

    exit_code = 2


class SpecError(BenchkitError):
    """A name, parameter, option or suite file does not say something benchkit can run."""


class DataError(BenchkitError):
    """A dataset is missing, damaged, or of a shape that cannot be used."""


class StoreError(BenchkitError):
    """The results folder cannot be read or written."""


class DeviceError(BenchkitError):
    """The device that was asked for is not there."""


class NothingToRun(BenchkitError):
    """The plan is empty."""

    exit_code = 3


class ContractError(BenchkitError):
    """A plugin returned something its contract does not allow, or asked for what it did not declare.

    Raised inside a cell it makes that cell fail; the run goes on.
    """


@contextmanager
def plugin_errors(name: str) -> Iterator[None]:
    """Turn what the code of a plugin's component raises into a sentence that names it.

    Raises:
        ContractError: instead of anything else that can be raised, but for what ends benchkit itself.
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
