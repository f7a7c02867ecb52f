"""From a CSV file of published numbers to rows, each checked here once."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from benchkit import files
from benchkit.errors import SpecError, did_you_mean
from benchkit.records.metric import Metric
from benchkit.report.parts import Part, part_of
from benchkit.text import printable

COLUMNS = ("source", "attack", "defense", "dataset", "metric", "value")
OPTIONAL = ("note", "fpr", "made_with", "recipe")
MATCHED = ("attack", "defense", "dataset")
MOST_DECIMALS = 6
"""Numbers with more decimals were not printed in a paper, but computed."""


@dataclass(frozen=True)
class Published:
    """One published number, in the unit of records: shares are fractions. ``note`` may be empty.

    ``shown`` is the number in the unit of tables, percent for shares, with the digits of the file. ``fpr`` (of a BDR),
    ``made_with`` (parameters of the defense) and ``recipe`` (of the victims) are the conditions that the file states:
    ours may differ, but the difference is reported.
    """

    source: str
    attack: Part
    defense: Part
    dataset: Part
    metric: str
    value: float
    shown: Decimal
    note: str = ""
    fpr: float | None = None
    made_with: Mapping[str, str] = field(default_factory=dict, compare=False)
    recipe: str = ""

    def part(self, axis: str) -> Part:
        """Return the component of the row on one of the axes ``MATCHED``."""
        found: Part = getattr(self, axis)
        return found

    @property
    def place(self) -> tuple[str, ...]:
        """The cell and metric of the number; a file has one number for each."""
        return (*(self.part(axis).text for axis in MATCHED), self.metric)


def read_published(path: Path, known: Mapping[str, Metric]) -> list[Published]:
    """Read a file of published numbers; ``known`` are the metrics that it may have, by name.

    Raises:
        SpecError: if the file is missing, is not such a CSV file, or has an invalid line.
    """
    try:
        text = files.read(path, files.TEXT).decode("utf-8-sig")
        lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        _check_columns(path, lines.fieldnames or [])
        rows = list(_rows(path, lines, known))
    except FileNotFoundError:
        raise SpecError(f"there is no file {path} of published numbers") from None
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise SpecError(f"{path} is not a CSV file in UTF-8, or a damaged one") from None
    if not rows:
        raise SpecError(f"{path} holds no published number: it has a head and no line below it")
    return rows


def _check_columns(path: Path, names: Iterable[str]) -> None:
    names = list(names)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        plural = "s" * (len(missing) > 1)
        raise SpecError(
            f"{path} is not a file of published numbers, it lacks the column{plural} {', '.join(missing)}: "
            f"its first line must name {', '.join(COLUMNS)}"
        )


def _rows(path: Path, lines: csv.DictReader[str], known: Mapping[str, Metric]) -> Iterator[Published]:
    seen: dict[tuple[str, ...], int] = {}
    for line in lines:
        at = f"{path} line {lines.line_num}"
        said = {name: printable(line.get(name) or "").strip() for name in (*COLUMNS, *OPTIONAL)}
        row = _row(at, said, known)
        first = seen.setdefault(row.place, lines.line_num)
        if first != lines.line_num:
            raise SpecError(f"{at} gives a second number for what line {first} is about: keep one of the two")
        yield row


def _row(at: str, line: Mapping[str, str], known: Mapping[str, Metric]) -> Published:
    empty = [name for name in COLUMNS if not line[name]]
    if empty:
        raise SpecError(f"{at} has no {empty[0]}: fill it in, or take the line out")
    if line["metric"] not in known:
        hint = did_you_mean(line["metric"], known)
        raise SpecError(f"{at}: there is no metric '{line['metric']}'{hint}")
    parts = {axis: part_of(line[axis]) for axis in MATCHED}
    for axis, part in parts.items():
        if part.name == part.text and not part.stated and set(part.text) & set(":=,"):
            raise SpecError(f"{at}: '{part.text}' is not one {axis}, written NAME or NAME:PARAMETER=VALUE")
    value, shown = _value(at, line, known[line["metric"]].percent)
    return Published(
        line["source"],
        **parts,
        metric=line["metric"],
        value=value,
        shown=shown,
        note=line["note"],
        fpr=_fpr(at, line["fpr"]),
        made_with=_made_with(at, line["made_with"]),
        recipe=line["recipe"],
    )


def _fpr(at: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise SpecError(f"{at}: fpr is a share from 0 to 1, or empty, got '{text}': 2.4 % is 0.024")
    return value


def _made_with(at: str, text: str) -> Mapping[str, str]:
    part = part_of(f"any:{text}") if text else Part("", "any")
    if part.name != "any":
        raise SpecError(f"{at}: made_with must be PARAMETER=VALUE,... or empty, got '{text}'")
    return part.stated


def _value(at: str, line: Mapping[str, str], percent: bool) -> tuple[float, Decimal]:
    """Return a number in the unit of records, and as shown in tables."""
    try:
        value = float(line["value"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SpecError(f"{at}: value must be a number, got '{line['value']}'")
    if percent and not abs(value) <= 1:
        raise SpecError(f"{at}: {line['metric']} is a share and must be at most 1, got {value:g}: 94.1 % is 0.941")
    # Decimal, so that 0.9885 is 98.85 and 0.970 is 97.0: a float does not keep digits.
    shown = Decimal(line["value"]).scaleb(2 if percent else 0)
    return value, shown if decimals(shown) <= MOST_DECIMALS else Decimal(f"{shown:.{MOST_DECIMALS}f}")


def decimals(value: Decimal) -> int:
    """Return the number of digits after the decimal point."""
    return max(0, -int(value.as_tuple().exponent))
