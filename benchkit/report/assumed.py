"""What an attacker controls and a defender holds, in a few words each: pages sort and choose by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchkit.records.record import finite
from benchkit.report.cells import Cell
from benchkit.text import printable

ACCESS = {"data": "poisons data", "training": "controls training"}
HELD = {"model": "weights", "logits": "logits", "labels": "predicted labels", "train": "training set"}
"""What a defense may need of a victim, in the words of a badge."""


@dataclass(frozen=True)
class Assumed:
    """What one component assumes.

    Attributes:
        things: what it cannot do without, in words that are the same for all components.
        badges: the same, with amounts.
        share: clean images, as a share of the training set.
    """

    things: tuple[str, ...] = ()
    badges: tuple[str, ...] = ()
    share: float = 0.0


def attacker(cell: Cell) -> Assumed:
    """Return what the attacker of a cell controls; nothing for a benign row."""
    info = _told(cell, "attack_info")
    if cell.benign:
        return Assumed()
    access = printable(str(info.get("access", "")))
    things = [ACCESS.get(access, f"{access} access")] if access else []
    things += ["changes labels"] if info.get("label_policy") == "dirty" else []
    things += ["crafts on a model"] if "model" in _needs(info) else []
    return Assumed(tuple(things), tuple(things))


def defender(cell: Cell) -> Assumed:
    """Return what the defender of a cell holds; nothing for the undefended column."""
    info = _told(cell, "defense_info")
    clean = info.get("clean")
    share = float(clean) if finite(clean) else 0.0
    held = {"clean images": f"{100 * share:g} % clean"} if share > 0 else {}
    held |= {"their labels": "labelled"} if share > 0 and info.get("labelled") is not False else {}
    held |= {"the victim's own images": "victim's own images"} if info.get("overlap") is True else {}
    held |= {words: words for name, words in HELD.items() if name in _needs(info)}
    return Assumed() if cell.baseline else Assumed(tuple(held), tuple(held.values()), share)


def _told(cell: Cell, role: str) -> dict[str, object]:
    return {name: value for record in cell.records for name, value in getattr(record, role).items()}


def _needs(info: Mapping[str, object]) -> list[object]:
    found = info.get("needs")
    return found if isinstance(found, list) else []
