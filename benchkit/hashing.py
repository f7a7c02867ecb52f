"""Canonical JSON, its SHA-256, and seeds derived from it."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """Return the canonical JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, as hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def derive_seed(seed: int, *purpose: str) -> int:
    """Return a 63-bit seed for one purpose, so that no two purposes of a run's seed share a random stream."""
    return int(digest([seed, *purpose])[:15], 16)
