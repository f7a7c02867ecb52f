"""Which defense does best across attacks: mean ranks, and which of their differences are more than chance."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchkit.metrics import metric
from benchkit.report.aggregate import Cell
from benchkit.report.matrix import OF_THE_MODEL

LEVEL = 0.05
COSTS = ("seconds", "peak_mb", "peak_device_mb")
_DIGITS = 12
"""Means that agree to so many digits are tied: the rest is rounding."""
Scores = Mapping[str, Mapping[str, float]]
"""Defense -> attack -> mean over seeds."""


@dataclass(frozen=True)
class Test:
    """Friedman's test over attacks, and Nemenyi's critical difference of mean ranks at the 5 % level.

    ``cliques`` are the longest runs of defenses, best first, in which no two differ by more than ``distance``.
    """

    statistic: float
    p: float
    distance: float
    cliques: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Ranking:
    """Defenses by one metric, best first. ``kind`` is empty where all kinds are compared.

    ``population`` is how many models of each kind the numbers are over, where they tell models apart; 0 elsewhere.
    ``ranks`` are mean ranks (1 is best, ties share the mean of their ranks) and ``means`` the metric's means, both
    over ``attacks``: those for which each ranked defense has a number. ``left_out`` are defenses with too few.
    """

    metric: str
    kind: str
    population: int
    attacks: tuple[str, ...]
    left_out: tuple[str, ...]
    ranks: dict[str, float]
    means: dict[str, float]
    test: Test | None


def rankings(cells: Sequence[Cell]) -> list[Ranking]:
    """Rank the defenses of one table by every metric that has a better end, each among those it compares.

    What a model answers, and what a defense costs, is compared across kinds of defense; anything else within a kind,
    and over as many models: a share of one pair of models is chance, and ranks nobody.
    """
    pools: dict[tuple[str, str, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        for name in () if cell.benign else cell.metrics():
            by_chance = cell.paired and metric(name).percent
            if metric(name).better != "neither" and not by_chance and (name in OF_THE_MODEL or not cell.baseline):
                alike = ("", 0) if name in OF_THE_MODEL + COSTS else (cell.kind, cell.population)
                pools[name, *alike].append(cell)
    found = (_ranking(name, kind, population, pool) for (name, kind, population), pool in pools.items())
    return [ranking for ranking in found if ranking]


def _ranking(name: str, kind: str, population: int, cells: Sequence[Cell]) -> Ranking | None:
    """Rank over at least two attacks, with the defenses that met at least half of them."""
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for cell in cells:
        if summary := cell.summary(name):
            scores[str(cell.axis("defense"))][str(cell.axis("attack"))] = summary.mean
    known = list(dict.fromkeys(attack for row in scores.values() for attack in row))
    kept = {defense: row for defense, row in scores.items() if 2 * len(row) >= len(known)}
    attacks = tuple(attack for attack in known if all(attack in row for row in kept.values()))
    if len(kept) < 2 or len(attacks) < 2:
        return None
    ranks = mean_ranks(kept, attacks, highest_first=metric(name).better == "higher")
    ordered = dict(sorted(ranks.items(), key=lambda one: (one[1], one[0])))
    means = {defense: math.fsum(kept[defense][attack] for attack in attacks) / len(attacks) for defense in ordered}
    left_out = tuple(sorted(scores.keys() - kept.keys()))
    test = _test(kept, attacks, ordered) if _seeds(cells, name, kept, attacks) >= 3 else None
    return Ranking(name, kind, population, attacks, left_out, ordered, means, test)


def _seeds(cells: Iterable[Cell], name: str, defenses: Iterable[str], attacks: Iterable[str]) -> int:
    """Return how many seeds stand at least behind each number."""
    places = {(defense, attack) for defense in defenses for attack in attacks}
    used = [cell for cell in cells if (cell.axis("defense"), cell.axis("attack")) in places]
    return min(summary.n for cell in used if (summary := cell.summary(name)))


def mean_ranks(scores: Scores, attacks: Sequence[str], highest_first: bool) -> dict[str, float]:
    """Return each defense's rank, 1 for the best, averaged over attacks."""
    sign = -1 if highest_first else 1
    total: dict[str, float] = dict.fromkeys(scores, 0.0)
    for attack in attacks:
        values = {defense: round(sign * row[attack], _DIGITS) for defense, row in scores.items()}
        for defense, value in values.items():
            before = sum(other < value for other in values.values())
            tied = sum(other == value for other in values.values())
            total[defense] += before + (tied + 1) / 2
    return {defense: rank / len(attacks) for defense, rank in total.items()}


def _test(scores: Scores, attacks: Sequence[str], ranks: Mapping[str, float]) -> Test | None:
    if len(scores) < 3 or len(attacks) < 3:
        return None
    from scipy.stats import friedmanchisquare

    columns = [[round(row[attack], _DIGITS) for attack in attacks] for row in scores.values()]
    if all(column == columns[0] for column in columns):
        return None
    found = friedmanchisquare(*columns)
    distance = critical_difference(len(scores), len(attacks))
    return Test(float(found.statistic), float(found.pvalue), distance, cliques(ranks, distance))


@functools.cache
def critical_difference(defenses: int, attacks: int) -> float:
    """Return how far two mean ranks must lie apart at the 5 % level (Nemenyi 1963; Demsar, JMLR 2006, 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - LEVEL, defenses, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(defenses * (defenses + 1) / (6 * attacks))


def cliques(ranks: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Return the longest runs of two or more defenses, given best first, that lie within ``distance``."""
    names, found, reached = list(ranks), [], 0
    for start, first in enumerate(names):
        stop = max(at for at, name in enumerate(names) if ranks[name] - ranks[first] <= distance) + 1
        if stop > max(reached, start + 1):
            found.append(tuple(names[start:stop]))
        reached = max(reached, stop)
    return tuple(found)
