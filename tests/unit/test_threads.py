"""With how many threads a worker computes, and who is asked."""

from __future__ import annotations

import os
import tempfile

import pytest

from benchkit.execute.executors import launch
from benchkit.execute.executors.launch import starting, threads_each


@pytest.mark.parametrize(
    ("workers", "asked", "said", "threads"),
    [
        (1, None, None, 8),
        (3, None, None, 2),
        (20, None, None, 1),
        (1, None, "3", 3),
        (4, None, "3", 3),
        (1, 5, "3", 5),
        (20, 5, None, 5),
        (2, None, "3,2", 3),
        (2, None, " 3 ", 3),
        *((2, None, odd, 4) for odd in ("", "0", "-1", "many", "1e3", "9" * 5000, "\u0663")),
    ],
)
def test_what_was_asked_for_then_the_environment_then_a_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, workers: int, asked: int | None, said: str | None, threads: int
) -> None:
    monkeypatch.setattr(launch, "cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert threads_each(workers, asked) == threads


def test_starting_processes_changes_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before, where = dict(os.environ), tempfile.gettempdir()
    with starting(7):
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["TMPDIR"] != where
    assert (dict(os.environ), tempfile.gettempdir()) == (before, where)
