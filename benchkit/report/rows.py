"""The facts about a row that do not depend on the defense: its victim, poisons, covers and source classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchkit.records.doubts import IMPLANTED, NOT_IMPLANTED, OF_THE_ROW
from benchkit.records.metrics import metric
from benchkit.records.record import Record, finite
from benchkit.report.summaries import Summary, summarize
from benchkit.text import source_classes_named

TENTH, FIFTH, POINTS = 0.1, 0.2, 0.02
"""A share is clearly below the requested one if a tenth of that is missing, and also a fifth or two points."""
Setting = tuple[object, ...]


@dataclass(frozen=True)
class Row:
    """The facts from the records of one attack in one setting, over all defenses.

    Attributes:
        doubts: warnings about its victim, which apply to every cell.
        c_acc: of the undefended or of the benign victim, whichever is higher, if known.
        asr: of the undefended victim, if known.
        asked: the requested poison rate.
        poisoned: the poisoned share of the training set, if it is clearly below the requested rate.
        covered: the share of covers in the training set, if there are any.
        covers_asked: the requested cover rate, if the share of covers is clearly below it.
        sources: the classes that the trigger is meant for; empty if it is meant for all but the target.
        test_strength: the strength of the trigger on test images, as a multiple of that in training.
    """

    doubts: frozenset[str] = frozenset()
    c_acc: float | None = None
    asr: Summary | None = None
    asked: float | None = None
    poisoned: float | None = None
    covered: float | None = None
    covers_asked: float | None = None
    sources: tuple[int, ...] = ()
    test_strength: float = 1.0

    def short(self) -> str:
        """Return the poisoned share as written in row heads, if it is below the requested rate."""
        return "" if self.poisoned is None else f"poisoned {metric('poisoned').text(self.poisoned)} %"

    def about(self) -> str:
        """Return what row heads add to an attack: its source classes and test strength, and what ``short`` returns."""
        sources = source_classes_named(self.sources) if self.sources else ""
        strength = f"test strength {self.test_strength:g}" if self.test_strength != 1 else ""
        return "; ".join(filter(None, (sources, strength, self.short())))


def place_of(record: Record) -> Setting:
    """Return the row of a record."""
    return (record.attack, record.dataset, record.model, record.recipe, record.poison_rate)


def rows_of(records: Iterable[Record]) -> dict[Setting, Row]:
    """Return the facts about each row; ``records`` are the newest of each identity."""
    found: dict[Setting, list[Record]] = defaultdict(list)
    for record in records:
        found[place_of(record)].append(record)
    benign: dict[Setting, list[float]] = defaultdict(list)
    for place, row in found.items():
        if any(map(is_benign, row)):
            benign[place[1:4]] += [summary.mean for summary in [_undefended(row, "c_acc")] if summary]
    return {place: _row(row, benign.get(place[1:4], [])) for place, row in found.items()}


def _row(records: Sequence[Record], benign: Sequence[float]) -> Row:
    doubts = {text for record in records for text in record.warnings} & OF_THE_ROW
    c_acc, asr = _undefended(records, "c_acc"), _undefended(records, "asr")
    if asr and asr.mean < IMPLANTED:
        doubts |= {NOT_IMPLANTED}
    highest = max([*benign, *([c_acc.mean] if c_acc else [])], default=None)
    rates = (records[0].poison_rate, _poisoned(records), *_covered(records))
    return Row(frozenset(doubts), highest, asr, *rates, _sources(records[0]), _strength(records[0]))


def _undefended(records: Iterable[Record], name: str) -> Summary | None:
    return _summary((record for record in records if is_baseline(record)), name)


def is_benign(record: Record) -> bool:
    """Return whether a record belongs to a row in which nothing is poisoned."""
    return record.attack_info.get("benign") is True


def is_baseline(record: Record) -> bool:
    """Return whether a record belongs to the undefended column."""
    return record.defense_info.get("kind") == "baseline" or record.defense == "none"


def _poisoned(records: Sequence[Record]) -> float | None:
    asked, found = records[0].poison_rate, _summary(records, "poisoned")
    if any(map(is_benign, records)) or not asked or found is None:
        return None
    return found.mean if _short(found.mean, asked) else None


def _covered(records: Sequence[Record]) -> tuple[float | None, float | None]:
    asked, found = records[0].attack_info.get("cover_rate"), _summary(records, "covered")
    if found is None:
        return None, None
    return found.mean, asked if finite(asked) and _short(found.mean, asked) else None


def _sources(record: Record) -> tuple[int, ...]:
    found = record.attack_info.get("source_classes")
    return tuple(label for label in found if type(label) is int) if isinstance(found, list) else ()


def _strength(record: Record) -> float:
    found = record.attack_info.get("test_strength")
    return found if finite(found) else 1.0


def _short(found: float, asked: float) -> bool:
    """Return whether a share is clearly below the requested one."""
    # With a hundred images, rounding to whole images alone can remove a tenth of a low rate.
    return asked - found > max(TENTH * asked, min(FIFTH * asked, POINTS))


def _summary(records: Iterable[Record], name: str) -> Summary | None:
    values = [record.metrics[name] for record in records if record.status == "ok" and name in record.metrics]
    return summarize(values) if values else None
