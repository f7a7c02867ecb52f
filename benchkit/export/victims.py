"""From records to their victims, and from victims to folders in the layout of the Hugging Face Hub."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.components.baseline import NoAttack, NoDefense
from benchkit.contracts.data import Source, Split
from benchkit.contracts.scene import Scene
from benchkit.contracts.trained import learned_in, weights_in
from benchkit.errors import StoreError
from benchkit.export.model_card import card
from benchkit.plan.job import POISON, VICTIM, Job, Ref
from benchkit.plan.planner import Planner
from benchkit.plan.steps import Plan
from benchkit.spec.spec import Spec, component, recipe
from benchkit.store.files import write_synced
from benchkit.store.store import Damaged, Store

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.attack import Attack
    from benchkit.contracts.dataset import Dataset
    from benchkit.records.record import Record
    from benchkit.spec.registry import Registry
    from benchkit.training.recipes import Recipe

FIRST = 3
"""Number of missing victims that a message names."""


@dataclass(frozen=True)
class Victim:
    """One trained model: its settings, and the keys of its artifact, its dataset and its record.

    ``craft_key`` is the key of the attack's trigger, or "" if the attack crafts none. ``job`` reads the victim, its
    training set and whatever its images are stamped with.
    """

    attack: Attack
    dataset: Dataset
    model: str
    recipe: Recipe
    poison_rate: float
    seed: int
    key: str
    data_key: str
    craft_key: str
    cell_key: str
    job: Job

    def __str__(self) -> str:
        rate = "" if self.attack.benign else f", {100 * self.poison_rate:g} %"
        return f"{self.attack} ({self.dataset}, {self.model}, {self.recipe}{rate}, seed {self.seed})"

    @property
    def folder(self) -> str:
        """A name for a folder or a repository: letters, digits, dots, dashes; made unique by the end of the key."""
        words = f"{self.attack.name}-{self.dataset.name}-{self.model}-seed{self.seed}"
        return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")[:80] + f"-{self.key[:8]}"

    def needed(self, more: Collection[str] = ()) -> list[Ref]:
        """Return the artifacts that an export reads: weights, data and trigger, and those of more stages."""
        wanted = {"train", "data", "craft", *more}
        return [ref for ref in {**self.job.parents}.values() if ref.stage in wanted]


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
        corner.cell(attack, rate, NoDefense())
        cell = corner.plan.steps[corner.plan.cells[0]].job
        read = {VICTIM: corner.train(attack, rate), POISON: corner.poison(attack, rate)}
        job = replace(cell, parents={**cell.parents, **read})
        return Victim(attack, dataset, record.model, how, rate, record.seed, key, data, craft, cell.key, job)


def missing(victims: Iterable[Victim], store: Store, *, images: bool = False) -> list[Victim]:
    """Return the victims whose weights, or other artifacts of the export, are not in the store.

    Args:
        images: their poisoned training sets are exported, too.
    """
    more = {"poison"} if images else set()
    return [one for one in victims if not all(store.has(*artifact) for artifact in one.needed(more))]


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
        require_fresh(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".benchkit-export-") as scratch:
            folder = Path(scratch) / "export"
            folder.mkdir()
            yield folder
            folder.rename(target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error


def require_fresh(target: Path) -> None:
    """Raise StoreError if ``target`` exists and is not an empty folder."""
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise StoreError(f"{target} is already there and not an empty folder: name another one with --out")


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


def config_of(
    victim: Victim, state: Mapping[str, Tensor], info: Mapping[str, Any], prepared: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return the content of ``config.json``.

    Args:
        state: the weights; ``mean`` and ``std`` are float32 (C,), of images in [0, 1].
        info: the metadata of the decoded dataset: class names, and the shape (C, H, W) of an image.
        prepared: what the attack prepared, drew and learned.
    """
    from benchkit import __version__

    attack = victim.attack
    wanted = wanted_labels(attack, victim.poison_rate, len(info["classes"]), info["shape"], prepared)
    return {
        "library": "benchkit",
        "benchkit_version": __version__,
        "architecture": victim.model,
        "num_classes": len(info["classes"]),
        "classes": list(info["classes"]),
        "input_shape": list(info["shape"]),
        "mean": [round(float(value), 6) for value in state["mean"]],
        "std": [round(float(value), 6) for value in state["std"]],
        "dataset": str(victim.dataset),
        "recipe": str(victim.recipe),
        "attack": {
            "spec": str(attack),
            "name": attack.name,
            "paper": attack.paper,
            "benign": attack.benign,
            "access": attack.access,
            "label_policy": attack.label_policy,
            "target": wanted[0] if len(set(wanted)) == 1 else None,
            "targets": wanted,
            "params": attack.params(),
        },
        "poison_rate": victim.poison_rate,
        "seed": victim.seed,
        "victim_key": victim.key,
    }


def wanted_labels(
    attack: Attack, rate: float, classes: int, shape: Sequence[int], prepared: Mapping[str, Tensor]
) -> list[int]:
    """Return the target label of triggered images for each class; nothing without an attack."""
    import torch

    if attack.benign:
        return []
    labels, cpu = torch.arange(classes), torch.device("cpu")
    none = Split(torch.zeros(0, *shape, dtype=torch.uint8), labels[:0])
    channels, height, width = shape
    rng = torch.Generator().manual_seed(0)
    scene = Scene(classes, (channels, height, width), cpu, none, rng, prepared, rate)
    return [int(label) for label in attack.target_labels(labels, scene)]
