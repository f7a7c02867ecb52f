"""The command line: one small module per command, imported only when it is needed."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

import click

from benchkit import __version__
from benchkit.errors import BenchkitError, Ending, did_you_mean
from benchkit.text import describe_error, printable, say, shortened, warn

COMMANDS = {
    "run": "run",
    "plan": "plan",
    "report": "report",
    "spectrum": "spectrum",
    "features": "features",
    "gallery": "gallery",
    "roc": "roc",
    "export": "export",
    "import": "import_",
    "leaderboard": "leaderboard",
    "scan": "scan",
    "suites": "suites",
    "plugins": "plugins",
    "show": "show",
    "new": "new",
    "cache": "cache",
    "completion": "completion",
}


class Terminated(Ending):
    """The process received SIGTERM."""


class NoReader(Ending):
    """The reader of the output has closed it."""


@contextmanager
def _heard() -> Iterator[None]:
    """Replace exceptions that click would map to exit codes with another meaning here."""
    try:
        yield
    except BrokenPipeError as error:
        raise NoReader from error
    except EOFError as error:  # not Ctrl-C
        raise RuntimeError("something ended before all of it was read") from error


class Lazy(click.Group):
    """A group that imports a command's module only when the command is used."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse the command line, and handle ``--help``."""
        with _heard():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _heard():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"benchkit.cli.{COMMANDS[cmd_name]}").cmd
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, with a suggestion for a misspelt one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command '{args[0]}'{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="benchkit")
def cli() -> None:
    """Cross every backdoor attack with every backdoor defense, and print the matrix.

    benchkit run --attacks all --defenses freq-detector

    benchkit report
    """


RESUMED_BY = (["run"], ["scan"], ["spectrum"], ["features"])
"""Commands that store finished steps and continue from there."""
NO_READER = 141
"""The exit code if the reader has closed the output, as given by a shell after SIGPIPE."""
HOOKED = frozenset({"benchkit_attacks", "benchkit_defenses", "benchkit_datasets", "benchkit_model"})
"""The hooks; a plugin's module defines at least one of them."""
OUTPUT_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
COMPLETING = "_BENCHKIT_COMPLETE"
"""The variable that the completion script of a shell sets."""


def main() -> NoReturn:
    """Run the command line; every error that a user can cause is one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    os.environ["PYTHONSAFEPATH"] = "1"  # child Python processes do not look for modules in the current folder
    _steady()
    code = _code()
    if code == NO_READER:
        _discard_output()
    sys.exit(code)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _steady() -> None:
    """Prevent crashes from characters that the output cannot encode, and from closed streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    # The rest of the buffer would fail again when Python ends.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)


def learn_shells() -> None:
    """Correct how click splits words and writes scripts for each shell, before it completes or prints a script."""
    importlib.import_module("benchkit.cli._complete")


def _code() -> int:
    if COMPLETING in os.environ:
        learn_shells()
    try:
        result = cli(standalone_mode=False)
        sys.stdout.flush()
    except tuple(ENDINGS) as end:
        return next(answer for kind, answer in ENDINGS.items() if isinstance(end, kind))(end)
    return result if isinstance(result, int) else 0


def _refused(error: click.ClickException) -> int:
    if COMPLETING in os.environ:
        return _uncompleted(error)
    text = io.StringIO()
    error.show(text)
    say("\n".join(map(shortened, text.getvalue().splitlines())), err=True)
    return error.exit_code


def _failed(error: BenchkitError) -> int:
    warn(f"error: {error}")
    return error.exit_code


def _stopped(how: str, code: int) -> int:
    kept = ": finished steps are kept; the same command continues from there" if sys.argv[1:2] in RESUMED_BY else ""
    warn(f"{how}{kept}")
    return code


def _escaped(error: BaseException) -> int:
    """Report an unexpected exception of a plugin in one line; a bug of benchkit is shown with its traceback."""
    if COMPLETING in os.environ:
        return _uncompleted(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if HOOKED & frame.f_globals.keys()]
    if isinstance(error, Exception) and not frames:
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    what = f"{describe_error(error)} at {where}"
    warn(f"error: a plugin ended the program ({what}): fix it, or switch it off with BENCHKIT_DISABLE")
    return 2


def _uncompleted(error: BaseException) -> int:
    """Exit like click after a completion, or report in one line why it failed."""
    if isinstance(error, SystemExit):
        raise error
    warn(f"error: cannot complete this ({describe_error(error)})")
    return 2


def _unwritten(error: OSError) -> int:
    """Report the operating-system error of a file, or of standard output if the error is one of writing."""
    reason = printable(error.strerror or str(error))
    what = printable(str(error.filename)) if error.filename else ""
    if not what and error.errno in OUTPUT_FAULTS:
        _discard_output()
        what = "standard output"
    warn(f"error: cannot use {what}: {reason}" if what else f"error: the system refused: {reason}")
    return 2


ENDINGS: dict[type[BaseException], Callable[[Any], int]] = {
    click.ClickException: _refused,
    BenchkitError: _failed,
    KeyboardInterrupt: lambda _: _stopped("interrupted", 130),
    click.Abort: lambda _: _stopped("interrupted", 130),
    Terminated: lambda _: _stopped("terminated", 143),
    NoReader: lambda _: NO_READER,
    BrokenPipeError: lambda _: NO_READER,
    OSError: _unwritten,
    BaseException: _escaped,
}
"""Exceptions that end the program (the first match counts), and functions that return the exit code."""
