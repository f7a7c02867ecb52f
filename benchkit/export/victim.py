"""One trained model of a results folder, and where its parts are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.plan.job import CRAFT, VICTIM, Ref, Role

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.dataset import Dataset
    from benchkit.training.recipes import Recipe


@dataclass(frozen=True)
class Victim:
    """One trained model: its settings, and the keys of its artifact, its dataset and its record.

    ``craft_key`` is the key of the attack's trigger, or "" if the attack crafts none.
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
    poison_key: str
    cell_key: str

    def __str__(self) -> str:
        rate = "" if self.attack.benign else f", {100 * self.poison_rate:g} %"
        return f"{self.attack} ({self.dataset}, {self.model}, {self.recipe}{rate}, seed {self.seed})"

    @property
    def folder(self) -> str:
        """A name for a folder or a repository: letters, digits, dots, dashes; made unique by the end of the key."""
        words = f"{self.attack.name}-{self.dataset.name}-{self.model}-seed{self.seed}"
        return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")[:80] + f"-{self.key[:8]}"

    @property
    def artifacts(self) -> dict[str, str]:
        """The stages and keys that an export reads."""
        crafted = {"craft": self.craft_key} if self.craft_key else {}
        return {"train": self.key, "data": self.data_key, **crafted}

    @property
    def stamping(self) -> dict[Role, Ref]:
        """What its attack stamps with, as the parents of a step."""
        crafted = {CRAFT: Ref("craft", self.craft_key)} if self.craft_key else {}
        return crafted | ({VICTIM: Ref("train", self.key)} if self.attack.learns else {})

    @property
    def images(self) -> dict[str, str]:
        """The stages and keys that an export of its images reads."""
        learned = {"train": self.key} if self.attack.learns else {}
        crafted = {"craft": self.craft_key} if self.craft_key else {}
        return {"data": self.data_key, "poison": self.poison_key, **crafted, **learned}
