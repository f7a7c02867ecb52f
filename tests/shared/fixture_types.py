"""The types of the fixtures that the conftest files offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command or a script did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
"""Runs the command line, or a script, with these words."""
RecordsIn = Callable[[Path], list[dict[str, Any]]]
"""Reads every record below a results folder."""
FindRecord = Callable[[str, str], dict[str, Any]]
"""Finds the one record of an attack and a defense."""
Comparable = Callable[[dict[str, Any]], dict[str, Any]]
"""Strips a record of what differs between two runs of one thing."""
