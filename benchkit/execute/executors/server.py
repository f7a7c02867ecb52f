"""The first import of the server that workers are forked from: it outlives the run, and tidies up after it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchkit.execute.executors.scratch import FALLBACK, PREFIX
from benchkit.store.locks import claim

PATIENCE = 10.0
"""Seconds until a run whose end of a pipe is closed must be gone."""


def _tidy(server: int, run: int, places: set[Path]) -> None:
    """Remove the scratch folders of a run that was killed and could not."""
    if os.getpid() != server:
        return
    until = time.monotonic() + PATIENCE
    while os.getppid() == run and time.monotonic() < until:
        time.sleep(0.02)
    if os.getppid() != run:
        for folder in (found for place in places for found in place.glob(f"{PREFIX}{claim(run)}-*")):
            shutil.rmtree(folder, ignore_errors=True)


_ours = Path(tempfile.gettempdir())
if _ours.name.startswith(f"{PREFIX}{claim(os.getppid())}-"):  # a run has started this process
    atexit.register(_tidy, os.getpid(), os.getppid(), {_ours.parent, FALLBACK})
