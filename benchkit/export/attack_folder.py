"""Write an attack as files: what ``replay`` reads (:mod:`benchkit.ops.attackfiles`)."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from PIL import Image
from safetensors.torch import save
from torch import Tensor

from benchkit.ops.attackfiles import ABOUT, COLUMNS, ROWS, WEIGHTS, About, Row
from benchkit.ops.pictures import digests

THREADS = 4


@dataclass(frozen=True)
class Part:
    """Images of one role.

    Attributes:
        role: as in a :class:`Row`.
        folder: where they go; below it is a folder for each label, as ``torchvision.datasets.ImageFolder`` reads it.
        rows: the indices of their clean images in the dataset's split, int64 (N,).
        true: the classes of those, int64 (N,).
        labels: the labels that the images have, or that the attacker wants, int64 (N,).
        clean, images: uint8 (N, C, H, W).
    """

    role: str
    folder: str
    rows: Tensor
    true: Tensor
    labels: Tensor
    clean: Tensor
    images: Tensor

    def listed(self) -> Iterator[Row]:
        """Yield what ``rows.csv`` says of each image."""
        numbers = zip(self.rows.tolist(), self.true.tolist(), self.labels.tolist(), strict=True)
        marks = zip(digests(self.clean), digests(self.images), strict=True)
        for (row, true, label), (clean, pixels) in zip(numbers, marks, strict=True):
            file = f"{self.folder}/{label:04d}/{row:06d}.png"
            yield Row(self.role, row, true, label, file, clean.hex(), pixels.hex())


def write(folder: Path, about: About, parts: Iterable[Part], weights: Mapping[str, Tensor] | None) -> None:
    """Write the folder, which is there and empty.

    Args:
        about: what the attack is; the checksum of the weights is found here.
        parts: the images.
        weights: ``net.*``, ``mean`` and ``std`` of the victim, or None.

    Raises:
        OSError: when a file cannot be written.
    """
    lists = [(row, part) for part in parts for row in [list(part.listed())]]
    for rows, part in lists:
        _write_images(folder, rows, part.images)
    raw = save(dict(weights), metadata={"format": "pt"}) if weights else b""
    if raw:
        (folder / WEIGHTS).write_bytes(raw)
    told = replace(about, weights=hashlib.sha256(raw).hexdigest() if raw else "", model=about.model if raw else "")
    (folder / ROWS).write_text(_table([row for rows, _ in lists for row in rows]), encoding="utf-8")
    (folder / ABOUT).write_text(told.to_json(), encoding="utf-8")


def _table(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(COLUMNS)
    out.writerows(map(astuple, rows))
    return text.getvalue()


def _write_images(folder: Path, rows: Sequence[Row], images: Tensor) -> None:
    for home in {(folder / row.file).parent for row in rows}:
        home.mkdir(parents=True, exist_ok=True)
    pixels = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()

    def put(number: int) -> None:
        image = pixels[number]
        Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).save(folder / rows[number].file, "PNG")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(len(rows))))
