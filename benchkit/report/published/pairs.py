"""From cells and published numbers to pairs of our number and the published one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchkit.errors import NothingToRun, SpecError, did_you_mean
from benchkit.records.metrics import METRICS
from benchkit.report.cells import AXES, Cell
from benchkit.report.parts import part_of
from benchkit.report.published.matching import Book
from benchkit.report.published.numbers import MATCHED, Published
from benchkit.report.published.operating import NAME, bdr_at, has_curve, published_fpr
from benchkit.report.summaries import Summary

Column = tuple[str, str]
"""A defense and a metric."""
Pairs = dict[tuple[str, Column], "Pair"]
Matches = Sequence[tuple[Cell, Mapping[str, Published]]]
_NAMED = 6
SPLIT = [axis for axis in AXES if axis not in ("attack", "defense")]


@dataclass(frozen=True)
class Pair:
    """One number of ours and the published one; either may be missing, not both.

    If ``fpr`` is given, our number is a BDR read from its ROC curves at that FPR. ``unlike`` lists the conditions that
    differ from those of the published number.
    """

    metric: str
    cell: Cell | None = None
    published: Published | None = None
    fpr: float | None = None
    unlike: tuple[str, ...] = ()

    @property
    def ours(self) -> Summary | None:
        """Return our mean over seeds, if there is one."""
        if self.cell is None:
            return None
        return self.cell.summary(self.metric) if self.fpr is None else bdr_at(self.cell, self.fpr)

    @property
    def difference(self) -> float | None:
        """Return ours minus published, if both exist."""
        return self.ours.mean - self.published.value if self.ours and self.published else None


@dataclass(frozen=True)
class Group:
    """The results for one dataset, model, recipe and poison rate; rows and columns in reading order."""

    cells: tuple[Cell, ...]
    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    pairs: Pairs

    def shown(self) -> list[Cell]:
        """Return the cells that have an entry."""
        return list({id(pair.cell): pair.cell for pair in self.pairs.values() if pair.cell}.values())


@dataclass(frozen=True)
class Comparison:
    """All groups with a comparison; ``asked`` are the rows of the file with the chosen metrics."""

    book: Book
    groups: tuple[Group, ...]
    asked: tuple[Published, ...]

    def pairs(self) -> list[Pair]:
        """Return all pairs in tables, then the published numbers without a cell of ours."""
        shown = [pair for group in self.groups for pair in group.pairs.values() if pair.cell]
        taken = {pair.published for pair in shown}
        return [*shown, *(Pair(row.metric, None, row) for row in self.asked if row not in taken)]

    def matched(self) -> set[Published]:
        """Return the published numbers that are compared with at least one of ours."""
        pairs = [pair for group in self.groups for pair in group.pairs.values()]
        return {pair.published for pair in pairs if pair.published and pair.ours}


def stand_ins(words: Sequence[str], rows: Sequence[Published], cells: Sequence[Cell]) -> Book:
    """Return a book of the rows in which, for each ``[OURS=]NAME``, our dataset counts as the published NAME.

    Raises:
        SpecError: if the file has no dataset NAME, or our results have no dataset OURS.
    """
    book, chosen = Book(tuple(rows)), dict[str, str]()
    here = [str(cell.axis("dataset")) for cell in cells] + book.datasets_trained_on(cells)
    for word in words:
        ours, name = _split(word, book.datasets())
        _check_known(name, book.datasets(), "in the published numbers")
        if ours:
            _check_known(ours, [*here, *(text.partition(":")[0] for text in here)], "in these results")
        if chosen.setdefault(ours, name) != name:
            raise SpecError(f"--as says that {ours or 'ours'} is both {chosen[ours]} and {name}: name one of them")
    return Book(book.rows, chosen)


def _split(word: str, published: Iterable[str]) -> tuple[str, str]:
    """Split ``[OURS=]NAME``; either may have parameters, such as ``gtsrb:size=32``, so the longest NAME counts."""
    for name in sorted(published, key=len, reverse=True):
        if word == name or word.endswith(f"={name}"):
            return word[: -len(name)].removesuffix("="), name
    ours, _, name = word.rpartition("=")
    return ours, name


def _check_known(name: str, known: Iterable[str], where: str) -> None:
    known = list(dict.fromkeys(known))
    if name not in known:
        hint = did_you_mean(name, known)
        raise SpecError(f"there is no dataset '{name}' {where}{hint}; there are {', '.join(known)}")


def compare(cells: Sequence[Cell], book: Book, only: str | None = None) -> Comparison:
    """Compare cells with the numbers of a book, for all its metrics or one; benign cells are omitted.

    Raises:
        SpecError: if the book has no number of that metric.
        NothingToRun: if no number can be compared.
    """
    if only and only not in book.metrics():
        raise SpecError(f"there is no published {only}; there are {', '.join(book.metrics())}")
    attacked: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        if not cell.benign:
            attacked[tuple(cell.axis(axis) for axis in SPLIT)].append(cell)
    asked = tuple(row for row in book.rows if only in (None, row.metric))
    found = [_group(group, book, asked) for group in attacked.values()]
    groups = sorted((group for group in found if group), key=lambda group: [group.cells[0].place(a) for a in SPLIT])
    comparison = Comparison(book, tuple(groups), asked)
    if not comparison.matched():
        raise NothingToRun(_nothing(cells, book, asked))
    return comparison


def _group(cells: list[Cell], book: Book, asked: Sequence[Published]) -> Group | None:
    wanted = {row.metric for row in asked}
    matches = [
        (cell, {name: row for name, row in book.match(cell).items() if name in wanted})
        for cell in sorted(cells, key=lambda cell: cell.place("attack"))
    ]
    columns = _columns(matches)
    pairs = {place: pair for column in columns for place, pair in _column(column, matches, book, asked).items()}
    columns, pairs = _with_published_fpr(columns, pairs, book)
    order = dict.fromkeys([*(str(cell.axis("attack")) for cell, _ in matches), *(row for row, _ in pairs)])
    rows = tuple(row for row in order if any(row == attack for attack, _ in pairs))
    return Group(tuple(cells), rows, columns, pairs) if columns else None


def _columns(matches: Matches) -> tuple[Column, ...]:
    """Return each defense with each of its published metrics, in the order of a matrix."""
    found = [(cell, name) for cell, rows in matches for name in rows]
    known = list(METRICS)
    ordered = sorted(found, key=lambda one: (one[0].place("defense"), known.index(one[1]) if one[1] in known else 999))
    return tuple(dict.fromkeys((str(cell.axis("defense")), name) for cell, name in ordered))


def _column(column: Column, matches: Matches, book: Book, asked: Sequence[Published]) -> dict[tuple[str, Column], Pair]:
    defense, name = column
    ours = [(cell, rows.get(name)) for cell, rows in matches if cell.axis("defense") == defense]
    pairs = {
        str(cell.axis("attack")): Pair(name, cell, row, unlike=tuple(book.unlike(row, cell)) if row else ())
        for cell, row in ours
    }
    taken = {row for _, row in ours if row}
    dataset = str(ours[0][0].axis("dataset"))
    alone = {
        row.attack.text: Pair(name, None, row)
        for row in asked
        if row.metric == name and row.defense in {one.defense for one in taken}
        if row not in taken and book.is_of(row, dataset)
    }
    return {(attack, column): pair for attack, pair in (alone | pairs).items() if pair.ours or pair.published}


def _with_published_fpr(columns: Sequence[Column], pairs: Pairs, book: Book) -> tuple[tuple[Column, ...], Pairs]:
    """Add, beside each BDR, our BDR at the FPR of the published one, if a cell has a ROC curve."""
    wide, found = list[Column](), dict(pairs)
    for column in columns:
        wide.append(column)
        beside = (column[0], NAME)
        for (attack, one), pair in pairs.items():
            fpr = published_fpr(pair.published, book.by_place) if one == column and pair.published else None
            if fpr is not None and pair.cell and has_curve(pair.cell):
                found[attack, beside] = replace(pair, metric=NAME, fpr=fpr)
        if any(one == beside for _, one in found) and beside not in wide:
            wide.append(beside)
    return tuple(wide), found


def _nothing(cells: Sequence[Cell], book: Book, asked: Sequence[Published]) -> str:
    """Return why no number was found: the first axis on which our results have nothing in common with the file."""
    if any(book.match(cell) for cell in cells):
        wanted = ", ".join(dict.fromkeys(row.metric for row in asked))
        return f"nothing to compare: no cell that has a published number holds {wanted} (older runs, or failed ones)"
    for axis in MATCHED:
        ours = list(dict.fromkeys(str(cell.axis(axis)) for cell in cells if not cell.benign))
        theirs = list(dict.fromkeys(row.part(axis).text for row in asked))
        names = {part_of(book.counts_as(one) if axis == "dataset" else one).name for one in ours}
        if not names & {part_of(one).name for one in theirs}:
            hint = "; --as NAME says which of those ours stands for" if axis == "dataset" else ""
            return f"nothing to compare: the numbers are of {axis} {_some(theirs)}, ours of {_some(ours)}{hint}"
    return "nothing to compare: no published number has the attack, defense, dataset and parameters of one cell of ours"


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return (", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")) or "nothing"
