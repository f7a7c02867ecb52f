"""From records to their victims, and from victims to folders in the layout of the Hugging Face Hub."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchkit.components.baseline import NoAttack, NoDefense
from benchkit.contracts.trained import learned_in, weights_in
from benchkit.errors import StoreError
from benchkit.export.config import config_of
from benchkit.export.model_card import card
from benchkit.export.victim import Victim
from benchkit.plan.planner import Planner
from benchkit.plan.steps import Plan
from benchkit.spec.spec import Spec, component, recipe
from benchkit.store.files import write_synced
from benchkit.store.store import Damaged, Store

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.data import Source
    from benchkit.contracts.dataset import Dataset
    from benchkit.records.record import Record
    from benchkit.spec.registry import Registry

FIRST = 3
"""Number of missing victims that a message names."""


@dataclass
class Finder:
    """Plans the training of a record's victim, which gives the victim's key."""

    registry: Registry
    source: Source
    model_code: Callable[[str], str]

    def find(self, records: Iterable[Record]) -> list[Victim]:
        """Return the victims of records, each once, in the order of the records.

        Raises:
            SpecError: if a component that a record names is not installed.
            DataError: if the files of a dataset cannot be read.
        """
        found: dict[str, Victim] = {}
        for record in records:
            victim = self._victim(record)
            found.setdefault(victim.key, victim)
        return list(found.values())

    def _victim(self, record: Record) -> Victim:
        attack: Attack = component(record.attack, "attacks", self.registry)
        attack = NoAttack() if attack.benign else attack  # benign rows share a victim
        rate = 0.0 if attack.benign else record.poison_rate or 0.0
        dataset: Dataset = component(record.dataset, "datasets", self.registry)
        how = recipe(record.recipe)
        spec = Spec((attack,), (NoDefense(),), (dataset,), (record.model,), (record.seed,), (rate,), how)
        prints = {dataset: dataset.fingerprint(self.source)}
        corner = Planner(Plan(), spec, dataset, prints, record.model, self.model_code, record.seed)
        (_, key), (_, data) = corner.train(attack, rate), corner.data()
        craft = "".join(crafted for _, crafted in corner.craft(attack).values())
        (_, poison) = corner.poison(attack, rate)
        corner.cell(attack, rate, NoDefense())
        return Victim(
            attack, dataset, record.model, how, rate, record.seed, key, data, craft, poison, corner.plan.cells[0]
        )


def missing(victims: Iterable[Victim], store: Store, *, images: bool = False) -> list[Victim]:
    """Return the victims whose weights, or other artifacts of the export, are not in the store.

    Args:
        images: ask for what an export of their attacks' images reads instead.
    """
    wanted = [(one, one.images if images else one.artifacts) for one in victims]
    return [one for one, artifacts in wanted if not all(store.has(*artifact) for artifact in artifacts.items())]


def left_out(gone: list[Victim], root: Path) -> str:
    """Return a sentence that names missing victims and says how to get them."""
    names = "; ".join(map(str, gone[:FIRST])) + ("; ..." if len(gone) > FIRST else "")
    count = "1 victim is" if len(gone) == 1 else f"{len(gone)} victims are"
    return (
        f"{count} not among the artifacts of {root} (removed, never trained, or trained with other code or other "
        f"dataset files than now, see --data-root): {names}; the benchkit run that made the records trains them again"
    )


def export(victims: Iterable[Victim], store: Store, records: Iterable[Record], target: Path, license_id: str) -> None:
    """Write each victim into its own folder below ``target``: all of them, or none.

    Raises:
        StoreError: if an artifact is damaged, or ``target`` is not empty or cannot be written.
    """
    measured = {record.key: record for record in records if record.status == "ok"}
    with fresh(target) as folder:
        for victim in victims:
            _write(victim, store, measured.get(victim.cell_key), folder / victim.folder, license_id)


@contextmanager
def fresh(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that becomes ``target`` on success, and is removed on failure.

    Raises:
        StoreError: if ``target`` exists and is not an empty folder, or cannot be written.
    """
    try:
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise StoreError(f"{target} is already there and not an empty folder: name another one with --out")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".benchkit-export-") as scratch:
            folder = Path(scratch) / "export"
            folder.mkdir()
            yield folder
            folder.rename(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error


def _write(victim: Victim, store: Store, record: Record | None, folder: Path, license_id: str) -> None:
    from safetensors.torch import save

    try:
        made = store.load("train", victim.key)
        info = store.meta("data", victim.data_key)["info"]
        prepared = store.load("craft", victim.craft_key) if victim.craft_key else {}
    except Damaged as error:
        raise StoreError(f"{victim}: {error}: run the benchkit run that made it, then export") from None
    state = weights_in(made)
    config = config_of(victim, state, info, prepared | learned_in(made))
    text = card(config, record.metrics if record else {}, record.warnings if record else (), license_id)
    folder.mkdir()
    write_synced(folder / "model.safetensors", save(state, metadata={"format": "pt"}))
    write_synced(folder / "config.json", (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())
    write_synced(folder / "README.md", text.encode())
