"""What one step does, and what it reads: frozen, typed, and JSON only where it crosses a process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Stage = Literal[
    "data",
    "craft",
    "poison",
    "train",
    "judge",
    "shadows",
    "prepare",
    "fit",
    "score",
    "population",
    "audit",
    "retune",
    "spectrum",
    "features",
    "cell",
    "scan",
]
"""What steps do; ``scan`` is the use of a defense outside a plan."""
Purpose = Literal["train", "surrogate"]
"""Whose random numbers a model is trained with: the victim's, or those of the attackers' own clean model."""


class Ref(NamedTuple):
    """Where the result of another step is: its stage and its key."""

    stage: str
    key: str


@dataclass(frozen=True)
class Role:
    """What a step reads the result of another for.

    Attributes:
        kind: such as ``victim`` or ``shadows``.
        which: tells those of a kind apart: the text of a dataset, or the number of the first model.
    """

    kind: str
    which: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.which}" if self.which else self.kind


DATA, CRAFT, POISON, PREPARE, JUDGE = Role("data"), Role("craft"), Role("poison"), Role("prepare"), Role("judge")
FIT, SCORES, RETUNE = Role("fit"), Role("scores"), Role("retune")
VICTIM, BENIGN, SURROGATE, SUSPECTS = Role("victim"), Role("benign"), Role("surrogate"), Role("suspects")
OTHER, SHADOWS, AUDIT, BENIGN_AUDIT = "other", "shadows", "audit", "benign audit"
"""Kinds of roles that come in numbers: the datasets a defense also learns from, shadow models, and audits."""
Parents = Mapping[Role, Ref]


@dataclass(frozen=True)
class Job:
    """One step, as it is handed to whoever runs it. Components are their text, as on the command line.

    Attributes:
        stage, key: what the step does, and the key of its result.
        dataset, model, recipe, seed: what all steps of this part of the matrix share.
        parents: what the step reads, by role.
        attack, defense: the components at work; empty where there is none.
        poison_rate: share of the training set that is poisoned, or None.
        purpose: of a ``train`` step.
        numbers: of a step that trains some of many models, the first and the one behind the last.
        images: of a ``spectrum`` or ``features`` step, how many it looks at.
        population: of a cell, how many models of each kind are judged; 0: it judges none.
        others: of a cell, the datasets that its defense also learns from.
    """

    stage: Stage
    key: str
    dataset: str
    model: str
    recipe: str
    seed: int
    parents: Parents = field(default_factory=dict)
    attack: str = ""
    defense: str = ""
    poison_rate: float | None = None
    purpose: Purpose = "train"
    numbers: tuple[int, int] = (0, 0)
    images: int = 0
    population: int = 0
    others: tuple[str, ...] = ()

    def of(self, kind: str) -> Iterator[tuple[Role, Ref]]:
        """Yield the parents of one kind, in the order of the plan."""
        return ((role, ref) for role, ref in self.parents.items() if role.kind == kind)

    def cell(self) -> dict[str, Any]:
        """Return what a record has in common with its cell."""
        return {name: getattr(self, name) for name in ("key", "dataset", "model", "attack", "defense", "seed")}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON for another process."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return values | {"parents": [[role.kind, role.which, *ref] for role, ref in self.parents.items()]}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Job:
        """Return the job that another process sent."""
        parents = {Role(kind, which): Ref(stage, key) for kind, which, stage, key in found["parents"]}
        tuples = {name: tuple(found[name]) for name in ("numbers", "others")}
        return cls(**{**found, **tuples, "parents": parents})
