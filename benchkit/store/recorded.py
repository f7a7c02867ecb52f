"""Where the files of a record lie below a folder of records, and what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.store.files import slug
from benchkit.store.pictures import folder_of, parted

if TYPE_CHECKING:
    from benchkit.records.record import Record


def file_of(identity: Mapping[str, Any]) -> Path:
    """Return the path of a record, given what ``IDENTITY`` names, below the folder of records."""
    parts = (slug(identity[axis]) for axis in ("dataset", "model", "attack", "defense"))
    return Path(*parts, f"seed{identity['seed']}-{identity['key'][:8]}.json")


def files_of(record: Record) -> tuple[dict[str, Any], dict[Path, bytes]]:
    """Return what the file of a record holds, and all its files by path: its pictures, and last itself.

    Raises:
        ValueError: if a number of it is none.
    """
    names, pictures = parted(record.gallery)
    found = replace(record, gallery=names).to_json()
    path = file_of(found)
    text = json.dumps(found, indent=1, sort_keys=True, allow_nan=False) + "\n"
    return found, {folder_of(path) / name: raw for name, raw in pictures.items()} | {path: text.encode()}
