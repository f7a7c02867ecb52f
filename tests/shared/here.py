"""Runs of the command line in this process, for what a session makes once: a new process imports torch again."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from benchkit import cli


def run_here(*args: object) -> None:
    """Run ``benchkit run`` with steps in this process; it has to end well."""
    asked = ["benchkit", "run", *map(str, args), "--executor", "inline", "--device", "cpu", "--quiet"]
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", asked)
        with contextlib.redirect_stderr(said):
            code = cli._code()
    assert code == 0, said.getvalue()
