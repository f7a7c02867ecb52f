"""What speaks against records that somebody sends in: what a maintainer would look for, before anybody reads them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from benchkit.records.metrics import metric
from benchkit.records.record import Record, finite
from benchkit.report.evidence import curves_of
from benchkit.report.load import newest

if TYPE_CHECKING:
    from benchkit.leaderboard.track import Track

VERSIONS = ("benchkit", "python", "torch", "numpy")
OVER = {"c_acc": "clean", "asr": "triggered", "ra": "triggered", "bdr": "triggered"}
"""Shares of test images, and of which."""
DERIVED: Mapping[str, Callable[[Mapping[str, float]], float]] = {
    "bdr_net": lambda found: found["bdr"] - found["fpr_control"],
    "acc": lambda found: (found["bdr"] + 1 - found["fpr"]) / 2,
    "acc_argmax": lambda found: (found["bdr_argmax"] + 1 - found["fpr_argmax"]) / 2,
}
"""Numbers that follow from others of the same record."""
ROUNDING = 1e-6
CURVE = 0.01
"""How far an AUROC may be from the area below the ROC curve, whose points are rounded and thinned."""
REPEATED = ("c_acc", "asr", "auroc", "bdr", "fpr")
SPREAD = 4.0
"""Standard errors by which two runs of one cell may differ, beside ``DRIFT``."""
DRIFT = 0.03
"""What another processor or version may change: kernels round in another order."""


@dataclass(frozen=True, order=True)
class Problem:
    """What speaks against a record, or against a track as a whole; ``of`` names it."""

    of: str
    what: str


def problems(records: Sequence[Record], known: Iterable[Record] = ()) -> list[Problem]:
    """Return what speaks against these records, and against single numbers of them.

    Args:
        known: records of a leaderboard: where they measured the same, the numbers must agree.
    """
    own = newest(records)
    twice = _times(records)
    found = [Problem(_name(record), what) for record in own for what in _faults(record)]
    found += [
        Problem(_name(record), f"there are {twice[record.identity]} records of it")
        for record in own
        if twice[record.identity] > 1
    ]
    return sorted({*found, *_derived_from_victims(own), *_apart(own, known)})


def gaps(tracks: Iterable[Track]) -> list[Problem]:
    """Return the cells that a track lacks: none may be empty for a track to be complete."""
    return [
        *(Problem(track.title, f"{row} x {col} was not run") for track in tracks for row, col in track.missing),
        *(
            Problem(track.title, f"{row} x {col} has no result for seed {', '.join(map(str, seeds))}")
            for track in tracks
            for (row, col), seeds in track.unfinished
        ),
    ]


def _times(records: Iterable[Record]) -> Mapping[tuple[object, ...], int]:
    """Return how many records there are of each identity."""
    counts: dict[tuple[object, ...], int] = defaultdict(int)
    for record in records:
        counts[record.identity] += 1
    return counts


def _name(record: Record) -> str:
    return record.file or f"{record.attack} x {record.defense}, seed {record.seed}"


def _faults(record: Record) -> Iterator[str]:
    if len(record.key) != 64 or set(record.key) - set("0123456789abcdef"):
        yield "its key is none"
    if lacking := [name for name in VERSIONS if not record.versions.get(name)]:
        yield f"it does not say with which {', '.join(lacking)} it was made"
    if not record.device or not record.threads:
        yield "it does not say on which device and with how many threads it was made"
    if not math.isfinite(record.moment):
        yield "it does not say when it was finished"
    if record.status != "ok":
        yield f"it is no result: {record.status}, {record.error or 'no reason recorded'}"
        return
    if not record.attack_info or not record.defense_info:
        yield "it does not say what attack and defense assume"
    yield from _numbers(record)


def _numbers(record: Record) -> Iterator[str]:
    found = record.metrics
    for name, value in found.items():
        low = -1.0 if name in DERIVED else 0.0
        if metric(name).percent and not low <= value <= 1:
            yield f"{name} is {value:g}, which is no share"
    for name, of in OVER.items():
        images = record.tested.get(of, 0)
        if name in found and images and not record.population and not _counts(found[name], images):
            yield f"{name} is {found[name]:g}, which no number of {images} images is"
    if found.get("ra", 0.0) + found.get("asr", 0.0) > 1 + ROUNDING:
        yield f"RA and ASR are {found['ra']:g} and {found['asr']:g}: more than all images"
    for name, follows in DERIVED.items():
        try:
            expected = follows(found)
        except KeyError:
            continue
        if name in found and abs(found[name] - expected) > ROUNDING:
            yield f"{name} is {found[name]:g}, but {expected:g} follows from its other numbers"
    yield from _curve(record)


def _counts(share: float, images: int) -> bool:
    return abs(share * images - round(share * images)) < ROUNDING * images


def _curve(record: Record) -> Iterator[str]:
    roc = curves_of(record.curves).get("roc")
    if not roc or "auroc" not in record.metrics:
        return
    points = list(zip(roc["fpr"], roc["tpr"], strict=True))
    area = math.fsum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(points))
    if abs(area - record.metrics["auroc"]) > CURVE:
        yield f"auroc is {record.metrics['auroc']:g}, but its ROC curve has {area:g}"


def _derived_from_victims(records: Iterable[Record]) -> Iterator[Problem]:
    """Yield the DER that do not follow from what the undefended victim of the same seed answers."""
    records = list(records)
    victims = {_row(record): record.metrics for record in records if record.defense == "none" and record.status == "ok"}
    for record in records:
        before, after = victims.get(_row(record)), record.metrics
        if before is None or not {"c_acc", "asr", "der"} <= after.keys() or not {"c_acc", "asr"} <= before.keys():
            continue
        gained, lost = (max(0.0, before[name] - after[name]) for name in ("asr", "c_acc"))
        expected = (gained - lost + 1) / 2
        if abs(after["der"] - expected) > ROUNDING:
            text = f"der is {after['der']:g}, but {expected:g} follows from the victim without a defense"
            yield Problem(_name(record), text)


def _row(record: Record) -> tuple[object, ...]:
    return (record.attack, record.dataset, record.model, record.recipe, record.poison_rate, record.seed)


def _apart(records: Iterable[Record], known: Iterable[Record]) -> Iterator[Problem]:
    """Yield what differs from an earlier measurement of the same cell by more than chance and processor explain."""
    before = {record.identity: record for record in newest(known) if record.status == "ok"}
    for record in records:
        other = before.get(record.identity)
        for name in REPEATED if other else ():
            ours, theirs = (one.metrics.get(name) for one in (record, other) if one)
            if finite(ours) and finite(theirs) and abs(ours - theirs) > _allowed(record, ours, theirs):
                yield Problem(_name(record), f"{name} is {100 * ours:.1f} %, the leaderboard has {100 * theirs:.1f} %")


def _allowed(record: Record, ours: float, theirs: float) -> float:
    images = min(record.tested.values(), default=0)
    middle = (ours + theirs) / 2
    error = math.sqrt(2 * max(0.0, middle * (1 - middle)) / images) if images else 0.05
    return DRIFT + SPREAD * error
