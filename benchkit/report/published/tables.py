"""From a comparison to tables: our number, the published one and the difference, side by side."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from benchkit.records.metric import TOO_WIDE, Metric
from benchkit.records.metrics import metric
from benchkit.report.cells import known_in, seeds_of, titles
from benchkit.report.published.matching import Book
from benchkit.report.published.numbers import decimals
from benchkit.report.published.operating import BDR, has_curve, published_fpr
from benchkit.report.published.pairs import SPLIT, Comparison, Group, Pair
from benchkit.report.summaries import Summary
from benchkit.report.tables.document import ABSENT, GLYPHS, MEANING, MISSING, Entry, Head, Report, Table
from benchkit.report.tables.notes import faults, seeds_line, some, warnings
from benchkit.report.tables.particular import changed

SHOWN = "ours minus published, as shown: published numbers with the digits of their file, ours with at least as many"
OTHERWISE = "*"
POINT = (
    "(FPR x): the published FPR, stated in the file or computed from its ACC (ACC is the mean of BDR and 1 - FPR); at "
    "another FPR, a part of the difference of BDR is due to the threshold"
)
THREE = "ours / published / difference"
RULE = (
    "a cell of ours is compared with the published number of the same attack, defense and dataset; parameters that "
    "distinguish published numbers must be equal too, our other parameters, model, recipe and poison rate need not"
)


def against(comparison: Comparison) -> Report:
    """Return a report of a comparison: one table per group, then the notes."""
    cells = [cell for group in comparison.groups for cell in group.shown()]
    most = seeds_of(cells)
    tables = tuple(_table(group, comparison.book, most) for group in comparison.groups)
    entries = " ".join(entry.text for table in tables for _, row in table.rows for entry in row)
    notes = (
        ("Legend", _legend(comparison, entries, most)),
        ("Published", (*_sources(comparison), *_remarks(comparison))),
        ("Matching", (RULE, *_counted_as(comparison), *_made_otherwise(comparison))),
        ("Failed, timed out or skipped", faults(cells)),
        ("Warnings", warnings(cells)),
    )
    return Report(tables, tuple((heading, lines) for heading, lines in notes if lines))


def _table(group: Group, book: Book, most: int) -> Table:
    labels = {str(cell.axis("attack")): cell.label("attack") for cell in group.cells}
    rows = tuple(
        (
            Head(labels.get(row, row)),
            tuple(Entry(_text(group, group.pairs.get((row, column)), most)) for column in group.columns),
        )
        for row in group.rows
    )
    host = group.cells[0]
    ours = str(host.axis("dataset"))
    other = f" (counted as {book.counts_as(ours)})" if book.counts_as(ours) != ours else ""
    parts = [f"{axis.replace('_', ' ')} {host.label(axis)}{other if axis == 'dataset' else ''}" for axis in SPLIT]
    heads = tuple(Head(defense, titles(group.cells, [name])) for defense, name in group.columns)
    return Table(", ".join([THREE, *parts]), "attack", heads, rows)


def _text(group: Group, pair: Pair | None, most: int) -> str:
    if pair is None:
        return MISSING
    published = f"{pair.published.shown:f}" if pair.published else MISSING
    if pair.ours is None:
        return f"{_without_ours(pair)} / {published} / {MISSING}"
    few = f" (n={pair.ours.n})" if pair.ours.n < most else ""
    other = f" {OTHERWISE}" * bool(pair.unlike)
    fpr = "" if pair.fpr is None else f" (FPR {metric('fpr').text(pair.fpr)})"
    known = known_in(group.cells, pair.metric)
    places = _places(known, pair, pair.ours)
    mean = _shown(known, pair.ours.mean, places)
    half = "" if pair.ours.ci95 is None else f" ± {_half(known, pair.ours.ci95, places)}"
    difference = _signed(mean - pair.published.shown) if pair.published else MISSING
    return f"{mean}{half} / {published} / {difference}{fpr}{other}{few}"


def _without_ours(pair: Pair) -> str:
    if pair.cell is None:
        return MISSING
    return ABSENT if pair.cell.ok else GLYPHS[pair.cell.status]


def _places(known: Metric, pair: Pair, ours: Summary) -> int:
    """Return the number of decimals of our number: those of the published one, and at least the usual number."""
    usual = 1 if known.percent else decimals(Decimal(f"{ours.mean:.3g}"))
    return max(usual, decimals(pair.published.shown) if pair.published else 0)


def _shown(known: Metric, value: float, places: int) -> Decimal:
    """Return a number as shown in the table, so that differences agree with the shown numbers."""
    scale = 100 if known.percent else 1
    return Decimal(f"{scale * value:.{places}f}") + 0  # removes the sign of a zero


def _half(known: Metric, width: float, places: int) -> str:
    usual = known.half(width)
    return usual if usual == TOO_WIDE else f"{_shown(known, width, places)}"


def _signed(difference: Decimal) -> str:
    return f"{difference:+f}" if difference else f"{abs(difference):f}"


def _legend(comparison: Comparison, entries: str, most: int) -> tuple[str, ...]:
    names = dict.fromkeys(name for group in comparison.groups for _, name in group.columns)
    everyone = [cell for group in comparison.groups for cell in group.cells]
    points = ", in percentage points" if all(known_in(everyone, name).percent for name in names) else ""
    meaning = MEANING | {MISSING: "not run, or not published"}
    signs = ", ".join(f"{sign} {meaning[sign]}" for sign in (*GLYPHS.values(), MISSING, ABSENT) if sign in entries)
    lines = [*(known_in(everyone, name).legend() for name in names), f"difference{points}: {SHOWN}", signs]
    lines += [POINT] * ("(FPR " in entries) + _without_fpr(comparison)
    lines += [f"{OTHERWISE} not measured as the published number was, see Matching"] * (f" {OTHERWISE}" in entries)
    cells = [cell for group in comparison.groups for cell in group.shown()]
    return (*(line for line in lines if line), *changed(cells), seeds_line(most))


def _without_fpr(comparison: Comparison) -> list[str]:
    """Return notes on BDRs that cannot be read from a curve at the published FPR, with the reason."""
    pairs = [pair for group in comparison.groups for pair in group.pairs.values() if pair.ours and pair.fpr is None]
    rows = [(pair.cell, pair.published) for pair in pairs if pair.cell and pair.published]
    rates = [(cell, row, published_fpr(row, comparison.book.by_place)) for cell, row in rows if row.metric in BDR]
    silent = [f"{row.attack.text} x {row.defense.text}" for _, row, rate in rates if rate is None]
    flat = [
        f"{row.attack.text} x {row.defense.text}"
        for cell, row, rate in rates
        if rate is not None and not has_curve(cell)
    ]
    said = {
        "BDR at the published FPR is missing, since no FPR is published with it": dict.fromkeys(silent),
        "BDR at the published FPR is missing, since no record has a ROC curve": dict.fromkeys(flat),
    }
    return [f"{words}: {some(list(names))}" for words, names in said.items() if names]


def _made_otherwise(comparison: Comparison) -> tuple[str, ...]:
    found = {
        f"{OTHERWISE} {pair.cell.axis('defense')}: {'; '.join(pair.unlike)} as published": None
        for group in comparison.groups
        for pair in group.pairs.values()
        if pair.cell and pair.unlike
    }
    return tuple(found)


def _sources(comparison: Comparison) -> tuple[str, ...]:
    asked = Counter(row.source for row in comparison.asked)
    found = Counter(row.source for row in comparison.matched())
    return tuple(
        f"{source}: {found[source]} of its {count} number{'s' * (count > 1)} compared with ours"
        for source, count in asked.items()
    )


def _remarks(comparison: Comparison) -> tuple[str, ...]:
    cells = [cell for group in comparison.groups for cell in group.cells]
    shown = {pair.published for group in comparison.groups for pair in group.pairs.values()}
    return tuple(
        f"{row.attack.text} x {row.defense.text} on {row.dataset.text}, {titles(cells, [row.metric])}: {row.note}"
        for row in comparison.asked
        if row.note and row in shown
    )


def _counted_as(comparison: Comparison) -> tuple[str, ...]:
    book, cells = comparison.book, [cell for group in comparison.groups for cell in group.shown()]
    ours = [str(cell.axis("dataset")) for cell in cells] + book.datasets_trained_on(cells)
    counted = {name: book.counts_as(name) for name in ours}
    return tuple(f"{name} counts as {other}" for name, other in counted.items() if name != other)
