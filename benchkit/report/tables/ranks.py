"""The best defense across attacks: mean ranks, and which of their differences are significant."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchkit.records.metric import Metric
from benchkit.report.cells import Cell, known_in
from benchkit.report.leading import OF_THE_MODEL, Score, beats, score

LEVEL = 0.05
COSTS = ("seconds", "peak_mb", "peak_device_mb")
Scores = Mapping[str, Mapping[str, Score]]
"""Maps defense -> attack -> its number."""
Ranks = Mapping[str, Mapping[str, float]]
"""Maps defense -> attack -> its rank."""


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
    """Defenses by one metric, best first. ``kind`` is empty if all kinds are compared.

    ``population`` is the number of models of each kind for metrics of model detectors, and 0 for others. ``ranks`` are
    mean ranks (1 is best) and ``means`` the means of the metric, both over ``attacks``: those for which each ranked
    defense has a number. ``left_out`` are defenses with too few numbers. ``excluded`` are attacks that cannot rank any
    defense, because their victim or all of their cells have a warning or lost too much C-Acc.
    """

    metric: str
    kind: str
    population: int
    attacks: tuple[str, ...]
    left_out: tuple[str, ...]
    excluded: tuple[str, ...]
    ranks: dict[str, float]
    means: dict[str, float]
    test: Test | None


def rankings(cells: Sequence[Cell]) -> list[Ranking]:
    """Rank the defenses of one table by every metric with a direction, among comparable defenses.

    Metrics of predictions and costs are compared across kinds of defense; others only within a kind and for populations
    of one size. Shares of one pair of models are mostly chance, and are not ranked.
    """
    pools: dict[tuple[str, str, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        for name in () if cell.benign else cell.metrics():
            known = cell.known(name)
            by_chance = cell.paired and known.percent
            if known.better != "neither" and not by_chance and (name in OF_THE_MODEL or not cell.baseline):
                alike = ("", 0) if name in OF_THE_MODEL + COSTS else (cell.kind, cell.population)
                pools[name, *alike].append(cell)
    found = (_ranking(name, kind, population, pool) for (name, kind, population), pool in pools.items())
    return [ranking for ranking in found if ranking]


def _ranking(name: str, kind: str, population: int, cells: Sequence[Cell]) -> Ranking | None:
    """Rank over at least two attacks the defenses that have numbers for at least half of them."""
    found = [(cell, one) for cell in cells if (one := score(cell, name))]
    told = {str(cell.axis("attack")) for cell, one in found if one.able and not cell.baseline}
    scores: dict[str, dict[str, Score]] = defaultdict(dict)
    for cell, one in found:
        if cell.axis("attack") in told:
            scores[str(cell.axis("defense"))][str(cell.axis("attack"))] = one
    known = list(dict.fromkeys(attack for row in scores.values() for attack in row))
    kept = {defense: row for defense, row in scores.items() if 2 * len(row) >= len(known)}
    attacks = tuple(attack for attack in known if all(attack in row for row in kept.values()))
    if len(kept) < 2 or len(attacks) < 2:
        return None
    ranks = ranks_of(kept, attacks, known_in(cells, name))
    mean_ranks = {defense: _mean(row.values()) for defense, row in ranks.items()}
    ordered = dict(sorted(mean_ranks.items(), key=lambda one: (one[1], one[0])))
    means = {defense: _mean(kept[defense][attack].mean for attack in attacks) for defense in ordered}
    few = any(kept[defense][attack].seeds < 3 for defense in kept for attack in attacks)
    left_out = tuple(sorted(scores.keys() - kept.keys()))
    excluded = tuple(sorted({str(cell.axis("attack")) for cell, _ in found} - told))
    test = None if few else _test(ranks, ordered)
    return Ranking(name, kind, population, attacks, left_out, excluded, ordered, means, test)


def ranks_of(scores: Scores, attacks: Sequence[str], known: Metric) -> Ranks:
    """Return each defense's rank against each attack, 1 for the best.

    Two defenses whose intervals do not separate them share their ranks. Those that may not lead come last.
    """
    return {
        defense: {
            attack: _rank(defense, {one: row[attack] for one, row in scores.items()}, known) for attack in attacks
        }
        for defense in scores
    }


def _rank(defense: str, scores: Mapping[str, Score], known: Metric) -> float:
    ours, others = scores[defense], [one for other, one in scores.items() if other != defense]
    behind = sum(_before(other, ours, known) - _before(ours, other, known) for other in others)
    return 1 + (len(others) + behind) / 2


def _before(one: Score, other: Score, known: Metric) -> bool:
    return one.able and (not other.able or beats(one, other, known))


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found)


def _test(ranks: Ranks, means: Mapping[str, float]) -> Test | None:
    """Test whether mean ranks differ (Friedman 1937, in the form of Conover 1999, section 5.8, which allows ties)."""
    from scipy.special import chdtrc  # scipy.stats would take half as long to import as torch

    rows = [list(row.values()) for row in ranks.values()]
    defenses, attacks = len(rows), len(rows[0])
    middle = (defenses + 1) / 2
    spread = math.fsum((rank - middle) ** 2 for row in rows for rank in row)
    if defenses < 3 or attacks < 3 or not spread:
        return None
    between = math.fsum((math.fsum(row) - attacks * middle) ** 2 for row in rows)
    statistic, distance = (defenses - 1) * between / spread, critical_difference(defenses, attacks)
    return Test(statistic, float(chdtrc(defenses - 1, statistic)), distance, cliques(means, distance))


@functools.cache
def critical_difference(defenses: int, attacks: int) -> float:
    """Return the critical difference of two mean ranks at the 5 % level (Nemenyi 1963; Demsar, JMLR 2006, 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - LEVEL, defenses, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(defenses * (defenses + 1) / (6 * attacks))


def cliques(ranks: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Return the longest runs of two or more defenses, given best first, whose ranks differ by at most ``distance``."""
    names, found, reached = list(ranks), [], 0
    for start, first in enumerate(names):
        stop = max(at for at, name in enumerate(names) if ranks[name] - ranks[first] <= distance) + 1
        if stop > max(reached, start + 1):
            found.append(tuple(names[start:stop]))
        reached = max(reached, stop)
    return tuple(found)
