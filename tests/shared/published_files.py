"""Files of published numbers, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchkit.records.metric import Metric
from benchkit.records.metrics import METRICS
from benchkit.report.published.numbers import Published, read_published

HEAD = "source,attack,defense,dataset,metric,value,note\n"


def published(folder: Path, text: str, metrics: Mapping[str, Metric] = METRICS) -> list[Published]:
    """Return what a file with this text holds."""
    path = folder / "published.csv"
    path.write_text(text, encoding="utf-8")
    return read_published(path, metrics)
