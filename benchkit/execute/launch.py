"""The first thing a worker process imports; torch-free, so that its environment is set before torch wakes up."""

from __future__ import annotations

from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any


def launch(connection: Connection, setup: Mapping[str, Any]) -> None:
    """Become a worker."""
    from benchkit.execute.worker import main

    main(connection, setup)
