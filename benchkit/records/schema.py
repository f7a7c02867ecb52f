"""What a record must be so that a run may count on it and a report can read it; torch-free."""

from __future__ import annotations

SCHEMA = 1
STATUSES = ("ok", "failed", "timeout", "skipped")
NAMES = ("attack", "defense", "dataset", "model")
"""What a record names by text."""


def is_record(found: object) -> bool:
    """Return whether a decoded JSON file is a whole record of this schema."""
    return (
        isinstance(found, dict)
        and found.get("schema") == SCHEMA
        and all(isinstance(found.get(name), str) for name in NAMES)
        and type(found.get("seed")) is int
        and found.get("status") in STATUSES
        and isinstance(found.get("metrics", {}), dict)
        and isinstance(found.get("warnings") or [], list)
    )
