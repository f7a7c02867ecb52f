"""The output of a scan of images: a table, JSON or CSV, and what it can and cannot show."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchkit.scan.prepare import printable
from benchkit.scan.worth import sides, worth

if TYPE_CHECKING:
    from benchkit.scan.clean import Clean
    from benchkit.scan.images import Scan, Scored

Rows = Sequence[Mapping[str, Any]]
Asked = Mapping[str, Any]
"""The request: ``path``, ``defense``, ``clean`` (a dataset), ``seed``."""
SPOKEN = {"jpeg_75": "JPEG 75", "one_grey_level_of_noise": "one grey level of noise", "resize": "resizing"}


def notes(found: Scan, asked: Asked, trusted: Clean) -> list[str]:
    """Return the notes of a scan: first what its scores are worth."""
    said = [trusted.said] if trusted.said else []
    return [worth(found, trusted).why, *said, *_finding(found, asked), *_limits(found, trusted), *_passed(found)]


def _finding(found: Scan, asked: Asked) -> list[str]:
    expected = found.allowed * found.images
    after = ", ".join(f"{found.controls[name]:.1%} after {said}" for name, said in SPOKEN.items())
    told = (
        f"{found.flagged} of {found.images} images are above the threshold {found.threshold:.4g}, which "
        f"{found.allowed:.1%} of clean images like those of {asked['clean']} exceed: expect about {expected:.1f} false "
        "alarms here if all are clean"
    )
    control = (
        f"of {found.sampled} of these images {found.controls['as_they_are']:.1%} are flagged as they are, {after}: "
        "if harmless processing is flagged, a flag may come from it"
    )
    return [told, control]


def _limits(found: Scan, trusted: Clean) -> list[str]:
    said, sizes = [], trusted.sizes
    if found.resized and not (sizes and sizes.others(found.shape)):
        said.append(
            f"{found.resized} of {found.images} images were resized to {sides(found.shape)}: their scores are "
            "unreliable, since resizing hides traces of a trigger"
        )
    elif found.resized:
        said.append(
            f"{found.resized} of {found.images} images were resized to {sides(found.shape)}, as clean ones were"
        )
    if found.lossy and not (sizes and sizes.lossy):
        said.append(
            f"{found.lossy} of {found.images} images are JPEG, WebP or AVIF: their scores are unreliable, since "
            "compression leaves traces of its own"
        )
    few = f"percentiles are among the scores of {len(found.clean)} clean images"
    return [
        *said,
        few,
        "an image that is not flagged is not proven clean: triggers that this detector cannot see exist",
    ]


def _passed(found: Scan) -> list[str]:
    said = [f"{found.unreadable} could not be read"] if found.unreadable else []
    parts = printable(", ".join(found.passed.parts("an image")))
    return said + ([f"passed over: {parts}"] if parts else [])


def to_json(found: Scan, asked: Asked, trusted: Clean) -> str:
    """Return all results, for programs; names are escaped only as in JSON."""
    counts = {name: getattr(found, name) for name in ("images", "flagged", "resized", "lossy", "unreadable")}
    told = {
        **asked,
        "usable": worth(found, trusted).usable,
        "shape": list(found.shape),
        "threshold": found.threshold,
        "allowed_fpr": found.allowed,
        "expected_false_alarms": found.allowed * found.images,
        **counts,
        "other_files": found.passed.others + found.passed.hidden + found.passed.odd,
        "symbolic_links": found.passed.links,
        "control_images": found.sampled,
        "flagged_after": found.controls,
        "in_top_tenth_with_a_sticker": found.stickers,
        "clean_images": len(found.clean),
        "notes": notes(found, asked, trusted),
        "top": [_row(found, one) for one in found.top],
        "unreadable_files": [{"file": one.file, "why": one.fault} for one in found.faults],
    }
    return json.dumps(told, indent=1) + "\n"


def _row(found: Scan, one: Scored) -> dict[str, Any]:
    picture = one.picture
    return {
        "file": picture.file,
        "score": one.score,
        "clean_percentile": round(found.percentile(one.score), 2),
        "verdict": "flagged" if one.score > found.threshold else "passed",
        "width": picture.size[0],
        "height": picture.size[1],
        "format": picture.form,
    }


def _rows(found: Scan) -> list[dict[str, Any]]:
    """Return rows of printable text: the most suspicious images, then unreadable files."""
    rows = [{**_row(found, one), "file": printable(one.picture.file)} for one in found.top]
    blank = {"score": "", "clean_percentile": "", "width": "", "height": "", "format": ""}
    return rows + [
        {**blank, "file": printable(one.file), "verdict": f"unreadable: {printable(one.fault)}"} for one in found.faults
    ]


COLUMNS = ("file", "score", "clean_percentile", "verdict", "width", "height", "format")


def to_csv(found: Scan) -> str:
    """Return the rows as CSV; a name that a spreadsheet would read as a formula gets the prefix ``./``."""
    rows = [{**row, "file": no_formula(row["file"])} for row in _rows(found)]
    return csv_of(rows, COLUMNS)


def no_formula(name: str) -> str:
    """Return a name that no spreadsheet reads as a formula."""
    return f"./{name}" if name.startswith(("=", "+", "-", "@")) else name


def csv_of(rows: Rows, columns: Sequence[str]) -> str:
    """Return rows as CSV with a header."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def to_table(found: Scan) -> str:
    """Return the rows as a table."""
    from tabulate import tabulate

    shown = [(row["file"], *_scored(row), row["verdict"], _kind(row)) for row in _rows(found)]
    heads = ("file", "score", "above of clean", "verdict", "image")
    return tabulate(shown, headers=heads, disable_numparse=True) + "\n"


def _scored(row: Mapping[str, Any]) -> tuple[str, str]:
    return (f"{row['score']:.3f}", f"{row['clean_percentile']:.1f}%") if row["format"] else ("", "")


def _kind(row: Mapping[str, Any]) -> str:
    return f"{row['width']}x{row['height']} {row['format']}" if row["format"] else ""
