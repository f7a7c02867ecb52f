"""The gallery of triggers as a figure: the effect of each attack on an image, from the pictures in records."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchkit.errors import SpecError
from benchkit.records.metrics import metric
from benchkit.records.record import Record
from benchkit.report.cells import Cell
from benchkit.report.evidence import gallery_of
from benchkit.report.figures.canvas import MARGIN, QUIET, SMALL, Canvas, Sheet, tall, wrapped

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

COLUMNS = {
    "clean": "clean",
    "stamped": "stamped",
    "difference x5": "difference x5",
    "spectrum of the change": "its spectrum",
}
"""The names of a record's pictures, from ``benchkit.measure.evidence.gallery``, and their column heads."""
CAPTION = (
    "Difference: grey where nothing changes. Spectrum of the change: log of |DCT|, low frequencies at the top left, "
    "each from 0 to its own maximum. PSNR and SSIM: means over the triggered test images."
)
LARGEST = 1024
"""Maximum side in pixels of a decoded picture; records of benchkit have at most 96."""
MOST_ROWS = 150
SIDE, GAP = 1.28, 0.1
"""Inches: a picture's side (at 150 dots an inch 192 pixels, whole multiples of 32, 48, 64 and 96), and the space to the
next one."""
BLOCK = len(COLUMNS) * (SIDE + GAP) - GAP
NAME = 10.0
"""Size of an attack's name, points."""


@dataclass(frozen=True)
class Shown:
    """One row: an attack, its setting, its visibility, and its pictures by their names in the record."""

    attack: str
    dataset: str
    seen: str
    seed: int
    pictures: Mapping[str, NDArray[np.uint8]]


def rows_of(cells: Iterable[Cell]) -> tuple[list[Shown], list[tuple[Record, str]]]:
    """Return one row per dataset and attack, from its first record with a picture, and the faults found.

    Args:
        cells: the first one with pictures counts for its dataset and attack.
    """
    rows: dict[tuple[object, ...], Shown] = {}
    faults: list[tuple[Record, str]] = []
    for cell in sorted(cells, key=lambda cell: [cell.place(axis) for axis in ("dataset", "attack")]):
        place = (cell.axis("dataset"), cell.axis("attack"))
        for record in cell.ok if place not in rows else ():
            pictures, fault = pictures_of(record)
            faults += [(record, fault)] if fault else []
            if pictures:
                label, dataset = cell.label("attack"), str(cell.axis("dataset"))
                rows[place] = Shown(label, dataset, _seen(record), record.seed, pictures)
                break
    return list(rows.values()), faults


def _seen(record: Record) -> str:
    """Return the visibility of the trigger as text, if the record has it."""
    forms = {"psnr": "{:.1f} dB", "ssim": "{:.3f}"}
    known = [(name, form) for name, form in forms.items() if name in record.metrics]
    return ", ".join(f"{metric(name).title} {form.format(record.metrics[name])}" for name, form in known)


def pictures_of(record: Record) -> tuple[dict[str, NDArray[np.uint8]], str]:
    """Return a record's decoded pictures, and what is wrong with omitted ones."""
    there = {name: record.gallery[name] for name in COLUMNS if name in record.gallery}
    good = {row["caption"]: row["src"] for row in gallery_of(there)}
    found, damaged = {}, []
    for name in there:
        try:
            found[name] = decoded(good[name])
        except (KeyError, ValueError):
            damaged.append(f"'{name}'")
    fault = f"its picture {' and '.join(damaged)} is no PNG of at most {LARGEST} x {LARGEST} pixels" if damaged else ""
    return found, fault


def decoded(uri: str) -> NDArray[np.uint8]:
    """Return the pixels of a data URI: uint8 (H, W) of a grey PNG, else (H, W, 3).

    Raises:
        ValueError: if it is not a PNG, is damaged, or has a side above ``LARGEST``.
    """
    import warnings

    import numpy as np
    from PIL import Image

    head, _, data = uri.partition(",")
    try:
        # Pillow warns of too many pixels after reading the header, before it decodes any.
        with warnings.catch_warnings(action="ignore"):
            image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=("PNG",))
            if head != "data:image/png;base64" or max(image.size) > LARGEST:
                raise ValueError("not a small PNG")  # noqa: TRY301 - told like what decoders raise
            pixels: NDArray[np.uint8] = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except Exception as error:  # untrusted bytes: decoders can raise anything
        raise ValueError("not a PNG that can be read") from error
    return pixels


def draw(rows: Sequence[Shown]) -> Canvas:
    """Draw the rows, in several blocks side by side so that the figure is nearly square.

    Raises:
        SpecError: if there are too many for one figure.
    """
    if len(rows) > MOST_ROWS:
        raise SpecError(f"{len(rows)} rows are too many for one figure: choose at most {MOST_ROWS} with --attacks")
    several = len({row.dataset for row in rows}) > 1
    heads = [_head(row, several) for row in rows]
    head = max(tall(name, NAME) + tall(below, SMALL) for name, below in heads) + 0.06
    sheet = Sheet(_title(rows), CAPTION, len(rows), BLOCK + MARGIN + 0.2, head + SIDE + 0.2, head=0.25, down=True)
    for index, row in enumerate(rows):
        left, top = sheet.place(index)
        if top == sheet.top:
            _columns(sheet, left, top - 0.25)
        name, below = heads[index]
        sheet.text(left, top, name, NAME)
        sheet.text(left, top + tall(name, NAME), below, SMALL, color=QUIET)
        for number, which in enumerate(COLUMNS):
            spot = sheet.axes(left + number * (SIDE + GAP), top + head, SIDE, SIDE)
            _picture(spot, which, row.pictures.get(which))
    return sheet


def _head(row: Shown, several: bool) -> tuple[str, str]:
    """Return a row's name, and the smaller text below it."""
    below = ", ".join(filter(None, (row.dataset if several else "", row.seen)))
    return wrapped(row.attack, BLOCK, NAME), wrapped(below, BLOCK, SMALL)


def _title(rows: Sequence[Shown]) -> str:
    datasets, seeds = {row.dataset for row in rows}, {row.seed for row in rows}
    where = f" on {rows[0].dataset}" if len(datasets) == 1 else ""
    return f"Triggers{where}" + (f", seed {rows[0].seed}" if len(seeds) == 1 else "")


def _columns(canvas: Canvas, left: float, top: float) -> None:
    for number, head in enumerate(COLUMNS.values()):
        canvas.text(left + number * (SIDE + GAP) + SIDE / 2, top, head, SMALL + 1, ha="center", color=QUIET)


def _picture(spot: Axes, name: str, pixels: NDArray[np.uint8] | None) -> None:
    spot.set(xticks=[], yticks=[])
    for side in spot.spines.values():
        side.set(linewidth=0.4, color="#999999")
    if pixels is None:
        spot.text(0.5, 0.5, "no picture", ha="center", va="center", fontsize=SMALL, color=QUIET)
        return
    style: dict[str, Any] = {"cmap": "viridis" if name.startswith("spectrum") else "gray", "vmin": 0, "vmax": 255}
    spot.imshow(pixels, interpolation="nearest", **(style if pixels.ndim == 2 else {}))
