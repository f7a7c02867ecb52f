"""The command line: one small module a command, imported only when it is needed."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from benchkit import __version__
from benchkit.errors import BenchkitError, did_you_mean

COMMANDS = {
    "run": "run",
    "plan": "plan",
    "report": "report",
    "spectrum": "spectrum",
    "gallery": "gallery",
    "roc": "roc",
    "export": "export",
    "scan": "scan",
    "plugins": "plugins",
    "show": "show",
    "new": "new",
    "cache": "cache",
    "completion": "completion",
}


class Terminated(BaseException):
    """SIGTERM arrived."""


class Lazy(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order people meet them."""
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

    \b
    benchkit run --attacks all --defenses freq-detector
    benchkit report
    """


def main() -> NoReturn:
    """Run the command line; every error a user can cause is one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_code())


def _terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _code() -> int:
    if "_BENCHKIT_COMPLETE" in os.environ:
        importlib.import_module("benchkit.cli._complete")  # knows how shells split words
    try:
        result = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BenchkitError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what was finished is kept; the same command goes on from there", err=True)
        return 130
    except Terminated:
        click.echo("terminated: what was finished is kept; the same command goes on from there", err=True)
        return 143
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return result if isinstance(result, int) else 0
