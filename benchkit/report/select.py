"""The selection of records by ``badnets,blend:alpha=0.3`` or ``all,-wanet``, among the existing ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchkit.errors import NothingToRun, SpecError, did_you_mean
from benchkit.params.component import text
from benchkit.params.grammar import pieces, seeds
from benchkit.records.record import Record
from benchkit.report.parts import part_of, same

SELECTED = ("attack", "defense", "dataset", "model")
Params = Mapping[str, str]


def select(records: Sequence[Record], asked: Mapping[str, str | None], numbers: str | None = None) -> list[Record]:
    """Return the records of the requested components.

    A name selects all of its variants, ``NAME:PARAMETER=VALUE`` those with this value of the parameter, and ``-NAME``
    removes components. The values are those in the record, including defaults.

    Args:
        asked: a list for each of ``SELECTED``; None selects all.
        numbers: the seeds, in the syntax of ``benchkit run``.

    Raises:
        SpecError: if a name or seed is in no record.
        NothingToRun: if no record matches the whole request.
    """
    chosen = list(records)
    for axis, wanted in asked.items():
        if wanted is not None:
            values = _chosen(axis, wanted, _known(records, axis))
            chosen = [record for record in chosen if getattr(record, axis) in values]
    if numbers is not None:
        wanted_seeds = _seeds(numbers, {record.seed for record in records})
        chosen = [record for record in chosen if record.seed in wanted_seeds]
    if not chosen:
        raise NothingToRun("no record matches the whole request: select less, or run it")
    return chosen


def chosen(records: Sequence[Record], options: Mapping[str, str | None]) -> list[Record]:
    """Return the records that options ask for: ``seeds``, and lists by ``attacks``, ``defenses`` and their like.

    Raises:
        SpecError, NothingToRun: each in one sentence.
    """
    asked = {name.removesuffix("s"): text for name, text in options.items() if name != "seeds"}
    return select(records, asked, options["seeds"])


def _known(records: Iterable[Record], axis: str) -> dict[str, Params]:
    """Return each value of an axis with all its recorded parameters."""
    found: dict[str, Params] = {}
    for record in records:
        value = getattr(record, axis)
        if value not in found:
            told = getattr(record, f"{axis}_info", {}).get("params")
            told = told if isinstance(told, dict) else {}
            found[value] = {str(key): text(one) for key, one in told.items()} | dict(part_of(value).stated)
    return dict(sorted(found.items()))


def _chosen(axis: str, wanted: str, known: Mapping[str, Params]) -> set[str]:
    if wanted in known and set(part_of(wanted).name) & set(":,="):
        return {wanted}  # such as a folder with a comma in its name, which parses as two components
    words = pieces(wanted)
    chosen = set(known) if words[0][0].startswith("-") else set()
    for word, stated in words:
        name = word.removeprefix("-")
        found = {value for value, params in known.items() if _fits(name, stated, value, params)}
        if not found:
            spec = f"{name}:{','.join('='.join(pair) for pair in stated.items())}" if stated else name
            hint = did_you_mean(name, [part_of(value).name for value in known])
            raise SpecError(f"no {axis} '{spec}' in these results{hint}; there are {', '.join(known)}")
        chosen = chosen - found if word.startswith("-") else chosen | found
    return chosen


def _fits(name: str, stated: Params, value: str, params: Params) -> bool:
    stated_so = all(same(one, params.get(key.replace("-", "_"))) for key, one in stated.items())
    return stated_so and name in ("all", part_of(value).name)


def _seeds(numbers: str, known: set[int]) -> set[int]:
    wanted = set(seeds(numbers))
    if "," in numbers and wanted - known:
        missing, there = (", ".join(map(str, sorted(some))) for some in (wanted - known, known))
        raise SpecError(f"no seed {missing} in these results; there are {there}")
    return wanted
