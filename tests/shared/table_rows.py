"""The rows of tables, for tests that look into what was written."""

from __future__ import annotations

import csv
from pathlib import Path


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def markdown_rows(text: str) -> list[list[str]]:
    """Return the cells of every row, heads included; an escaped bar in a cell is a NUL."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|-")]
    return [[part.strip() for part in line.replace("\\|", "\0").split("|")[1:-1]] for line in lines]


def squeezed(text: str) -> str:
    """Return the text without the padding of its columns."""
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return "\n".join(line for line in lines if not line.startswith("|-"))
