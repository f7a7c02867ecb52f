"""Attacks of a results folder as image files: what poisons a training set, and the test images with the trigger."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.errors import StoreError
from benchkit.export.data_card import card
from benchkit.export.victims import fresh
from benchkit.plan.job import DATA, POISON, Job, Ref, Role
from benchkit.store.files import write_synced
from benchkit.store.store import Damaged, Store

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.data import Source
    from benchkit.export.victim import Victim
    from benchkit.spec.registry import Registry
    from benchkit.stages.workspace import Workspace

TRAIN, TEST = ("row", "file", "label", "true_label", "cover"), ("row", "file", "label", "true_label")
"""Columns of the two tables; ``benchkit import`` reads the first three."""


@dataclass(frozen=True)
class Rows:
    """Images of one split, with what the tables say of them."""

    rows: list[int]
    images: Tensor
    labels: list[int]
    true: list[int]
    cover: list[bool] | None = None


def export(
    victims: Iterable[Victim], store: Store, registry: Registry, source: Source, out: Path, license: str
) -> None:
    """Write the images of each victim's attack into a folder of its own below ``out``: all of them, or none.

    Raises:
        StoreError: if an artifact is damaged, or ``out`` is not empty or cannot be written.
    """
    import torch

    from benchkit.stages.workspace import Workspace

    workspace = Workspace(store, registry, torch.device("cpu"), source)
    with fresh(out) as folder:
        for victim in victims:
            try:
                train, test, classes = _taken(victim, workspace)
            except Damaged as error:
                raise StoreError(f"{victim}: {error}: run the benchkit run that made it, then export") from None
            _write(victim, train, test, classes, folder / victim.folder, license)


def _taken(victim: Victim, workspace: Workspace) -> tuple[Rows, Rows, Sequence[str]]:
    """Return the poisoned training images, the stamped test images, and the names of the classes."""
    from benchkit.protocol import victim_rows
    from benchkit.stages.scenes import triggered

    task = workspace.task(_job(victim))
    found, data = task.load(POISON), task.data
    rows = victim_rows(data.train.labels, victim.seed)[found["rows"]]
    true = data.train.labels[rows]
    train = Rows(
        rows.tolist(), found["images"], found["labels"].tolist(), true.tolist(), found["cover"].bool().tolist()
    )
    stamped = triggered(task)
    test = Rows(stamped.rows.tolist(), stamped.images, stamped.wanted.tolist(), data.test.labels[stamped.rows].tolist())
    return train, test, data.classes


def _job(victim: Victim) -> Job:
    """Return a step that reads what stamps the images of a victim."""
    parents: dict[Role, Ref] = {DATA: Ref("data", victim.data_key), POISON: Ref("poison", victim.poison_key)}
    parents |= victim.stamping
    setting = (str(victim.dataset), victim.model, str(victim.recipe), victim.seed)
    return Job("judge", "", *setting, parents, str(victim.attack), poison_rate=victim.poison_rate)


def _write(victim: Victim, train: Rows, test: Rows, classes: Sequence[str], folder: Path, license: str) -> None:
    folder.mkdir()
    for name, columns, found in (("train", TRAIN, train), ("test", TEST, test)):
        (folder / name).mkdir()
        files = [f"{name}/{row}.png" for row in found.rows]
        _images(found.images, [folder / one for one in files])
        write_synced(folder / f"{name}.csv", _table(columns, files, found).encode())
    about = {
        "attack": str(victim.attack),
        "paper": victim.attack.paper,
        "dataset": str(victim.dataset),
        "classes": list(classes),
        "poison_rate": victim.poison_rate,
        "seed": victim.seed,
        "access": victim.attack.access,
        "label_policy": victim.attack.label_policy,
    }
    write_synced(folder / "about.json", (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode())
    write_synced(folder / "README.md", card(about, len(train.rows), len(test.rows), license).encode())


def _table(columns: Sequence[str], files: Sequence[str], found: Rows) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    covers = [found.cover] if found.cover is not None else []
    told = zip(
        found.rows, files, found.labels, found.true, *([int(one) for one in cover] for cover in covers), strict=True
    )
    writer.writerows(told)
    return written.getvalue()


def _images(images: Tensor, paths: Sequence[Path]) -> None:
    """Write uint8 images (N, C, H, W) as PNG files, which keep every pixel."""
    from PIL import Image

    grey = images.shape[1] == 1
    pixels = images[:, 0] if grey else images.permute(0, 2, 3, 1)
    whole = pixels.contiguous().cpu().numpy()

    def save(place: int) -> None:
        Image.fromarray(whole[place]).save(paths[place], "PNG", compress_level=1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(len(paths))))
