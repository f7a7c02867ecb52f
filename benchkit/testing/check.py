"""One check of the conformance kit, and what it means that two of them fail for one reason."""

from __future__ import annotations

import itertools
import traceback
import unittest
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from benchkit.params.component import Component

Subject = Component | type[Component]
Cause = tuple[str, str, int, str]
"""The type of an exception, the file and the line where it was raised, and a method that its sentence names."""


class ConformanceError(AssertionError):
    """A plugin violates its contract. The text tells the plugin's author what is wrong and what to do."""


class NotRun(unittest.SkipTest):
    """A check that meets a failure which another check has reported; pytest counts it as skipped."""


@dataclass(frozen=True)
class Check:
    """One named check of one plugin. A call returns nothing, or raises ConformanceError.

    Attributes:
        subject: the plugin, a class or a component.
        function: the check itself.
        view: turns the subject into the first argument of ``function``.
        extra: further arguments.
        reported: what has failed so far, by cause, and the check that said so. Checks of one plugin share it, so that a
            method that raises in all of them is one failure.
    """

    subject: Subject
    function: Callable[..., None]
    view: Callable[[Subject], Any]
    extra: tuple[Any, ...] = ()
    reported: dict[Cause, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name, such as ``stamp-repeats``."""
        return self.function.__name__.removeprefix("check_").replace("_", "-")

    def __str__(self) -> str:
        subject = self.subject
        return f"{(subject.name or subject.__name__) if isinstance(subject, type) else subject}-{self.name}"

    def __call__(self) -> None:
        """Run the check. Any other exception of the plugin also counts as a failure, and is named.

        Raises:
            ConformanceError: if the plugin fails the check.
            NotRun: if it fails for a reason that another check has reported.
        """
        try:
            self.function(self.view(self.subject), *self.extra)
        except Exception as error:
            first = self.reported.setdefault(cause(error), self.name)
            if first != self.name:
                raise NotRun(f"{self} is not run: {first} has failed for the same reason") from error
            if isinstance(error, ConformanceError):
                raise
            raise ConformanceError(f"{self}: {type(error).__name__}: {error}") from error


def cause(error: BaseException) -> Cause:
    """Return what tells two failures apart: where they were raised, and in which method of the plugin.

    That is the line of the plugin that benchkit called last. A result that a gate of the harness refuses has no such
    line, but the sentence begins with the method: ``my-attack.stamp must return uint8``.
    """
    if isinstance(error, ConformanceError) and error.__cause__ is not None:
        error = error.__cause__
    raised = [one for one in traceback.walk_tb(error.__traceback__) if one[0].f_code is not require.__code__]
    called = [one for caller, one in itertools.pairwise(raised) if _ours(caller[0]) and not _ours(one[0])]
    frame, line = (called or raised)[-1]
    return type(error).__name__, frame.f_code.co_filename, line, "" if called else str(error).split(" ", 1)[0]


def _ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("benchkit.")


def require(holds: bool, sentence: str) -> None:
    """Raise ConformanceError with this sentence unless it holds."""
    if not holds:
        raise ConformanceError(sentence)
