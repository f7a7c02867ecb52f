"""The output of a scan of a training set: the rows to look at as a table, JSON or CSV, and sentences on each filter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchkit.scan.prepare import printable
from benchkit.scan.verdict import csv_of, no_formula

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.records.doubts import Known
    from benchkit.scan.filters import Filtered
    from benchkit.scan.labelled import Labelled

STANDS_OUT = 1.5
"""How many times the share of all images must be dropped of a class before it is named."""
FIXED = "a filter may drop a fixed share of every class, also of a clean set: look at the images before you drop a row"


@dataclass(frozen=True)
class Row:
    """A row of the training set.

    Attributes:
        number: its index.
        file: its path below the folder, unescaped.
        label: its class.
        percentiles: by filter, the percentage of rows with a lower score; half of those with the same one count.
        scores: by filter; above 0 the filter drops it.
    """

    number: int
    file: str
    label: str
    percentiles: Mapping[str, float]
    scores: Mapping[str, float]

    @property
    def flagged_by(self) -> list[str]:
        """The filters that drop it."""
        return [name for name, score in self.scores.items() if score > 0]

    @property
    def mean(self) -> float:
        """The mean of its percentiles."""
        return sum(self.percentiles.values()) / len(self.percentiles)


def rows_of(suspects: Labelled, found: Sequence[Filtered], top: int) -> list[Row]:
    """Return the rows that most filters drop, of these the rows with the highest mean percentile first."""
    scores = {one.defense: one.scores.tolist() for one in found if one.scores is not None}
    places = {one.defense: percentiles(one.scores).tolist() for one in found if one.scores is not None}
    labels = suspects.split.labels.tolist()
    rows = [
        Row(
            number,
            file,
            suspects.classes[labels[number]],
            {name: values[number] for name, values in places.items()},
            {name: values[number] for name, values in scores.items()},
        )
        for number, file in enumerate(suspects.files)
    ]
    return sorted(rows, key=lambda row: (-len(row.flagged_by), -row.mean, row.number))[:top] if scores else []


def percentiles(scores: Tensor) -> Tensor:
    """Return for each score the percentage of the others below it, half of the same ones included, float64 (N,)."""
    import torch

    ordered = scores.sort().values
    below, upto = (torch.searchsorted(ordered, scores, right=right) for right in (False, True))
    return 50 * (below + upto).double() / len(scores)


def notes(suspects: Labelled, found: Sequence[Filtered], known: Known | None) -> list[str]:
    """Return sentences on what was scanned and what each filter says of it."""
    said = suspects.notes()
    if known:
        said.append(f"the model gets {known.share:.1%} of the labels right that it was trained on")
    return [*said, *(_of_filter(suspects, one) for one in found), FIXED]


def _of_filter(suspects: Labelled, one: Filtered) -> str:
    if one.scores is None:
        return f"{one.defense} failed: {one.fault}"
    labels = suspects.split.labels
    dropped = labels[one.scores > 0].bincount(minlength=len(suspects.classes))
    told = f"{one.defense} flags {int(dropped.sum())} of {len(labels)} images"
    if not dropped.any():
        return told
    shares = dropped / labels.bincount(minlength=len(suspects.classes)).clamp(min=1)
    most = int(shares.argmax())
    if float(shares[most]) < STANDS_OUT * int(dropped.sum()) / len(labels):
        return f"{told}, of no class much more than of the others"
    name, own = printable(suspects.classes[most]), int((labels == most).sum())
    return f"{told}, most of class {name}: {int(dropped[most])} of its {own}"


def to_json(
    rows: Sequence[Row], found: Sequence[Filtered], asked: Mapping[str, Any], suspects: Labelled, said: Sequence[str]
) -> str:
    """Return all results, for programs; names are escaped only as in JSON."""
    told = {
        **asked,
        "images": len(suspects.files),
        "classes": list(suspects.classes),
        "shape": list(suspects.split.images.shape[1:]),
        "filters": [_filter(one) for one in found],
        "notes": list(said),
        "top": [
            {
                "file": row.file,
                "class": row.label,
                "flagged_by": row.flagged_by,
                "mean_percentile": round(row.mean, 2),
                "percentiles": {name: round(value, 2) for name, value in row.percentiles.items()},
                "scores": dict(row.scores),
            }
            for row in rows
        ],
        "unreadable_files": [{"file": one.file, "why": one.fault} for one in suspects.faults],
    }
    return json.dumps(told, indent=1) + "\n"


def _filter(one: Filtered) -> dict[str, Any]:
    number = None if one.scores is None else int((one.scores > 0).sum())
    return {"defense": one.defense, "flagged": number, "error": one.fault or None}


def _cells(row: Row) -> dict[str, Any]:
    places = {name: f"{value:.1f}" for name, value in row.percentiles.items()}
    flags = f"{len(row.flagged_by)} of {len(row.scores)}"
    return {"file": printable(row.file), "class": printable(row.label), "flagged by": flags, **places}


def to_csv(rows: Sequence[Row], found: Sequence[Filtered]) -> str:
    """Return the rows as CSV: by filter a percentile; names that a spreadsheet would compute get a prefix ``./``."""
    names = [one.defense for one in found if one.scores is not None]
    cells = [
        {**_cells(row), "file": no_formula(printable(row.file)), "flagged_by": len(row.flagged_by)} for row in rows
    ]
    columns = ("file", "class", "flagged_by", *names)
    return csv_of([{name: row[name] for name in columns} for row in cells], columns)


def to_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table."""
    from tabulate import tabulate

    return tabulate([_cells(row) for row in rows], headers="keys", disable_numparse=True) + "\n"
