"""Runs of the command line in this process, for what a session makes once: a new process imports torch again."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from benchkit import cli


def run_here(*args: object) -> None:
    """Run ``benchkit run`` with steps in this process; it has to end well."""
    command_here("run", *args, "--executor", "inline", "--device", "cpu", "--quiet")


def command_here(*args: object) -> None:
    """Run a command in this process; it has to end well."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", ["benchkit", *map(str, args)])
        with contextlib.redirect_stderr(said):
            code = cli._code()
    assert code == 0, said.getvalue()
