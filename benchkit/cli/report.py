"""benchkit report: tables from records."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from benchkit.cli._records import selecting
from benchkit.errors import NothingToRun, SpecError, StoreError, did_you_mean
from benchkit.records.metrics import METRICS
from benchkit.report.cells import AXES, Cell, cells_of, known_in, known_metric
from benchkit.report.formats.printing import print_report
from benchkit.report.load import read_records
from benchkit.report.tables.matrix import Axes, matrix
from benchkit.spec.shipped import located
from benchkit.text import hand_out, printable

if TYPE_CHECKING:
    from benchkit.records.record import Record
    from benchkit.report.published.pairs import Comparison
    from benchkit.report.tables.document import Report

FORMATS = ("table", "markdown", "latex", "csv", "json", "html", "html-table")


@click.command("report")
@selecting("attack", "defense", "dataset", "model")
@click.option("--metric", metavar="M", help="Show this metric in every cell, such as asr or seconds.")
@click.option("--rows", type=click.Choice(AXES), help="What the rows are.  [default: attack]")
@click.option("--cols", type=click.Choice(AXES), help="What the columns are.  [default: defense]")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.")
@click.option(
    "--cell",
    nargs=2,
    type=str,
    metavar="ATTACK DEFENSE",
    help="Everything about one cell, instead of the matrix.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="NAME|FILE",
    help="Put published numbers beside ours, with the difference: installed ones, or a CSV file.",
)
@click.option(
    "--as",
    "counted_as",
    multiple=True,
    metavar="[OURS=]NAME",
    help="With --against: our dataset OURS, or each that FILE does not know, counts as its dataset NAME.",
)
@click.option(
    "--compare",
    "compared",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="RUN_A RUN_B",
    help="Compare two results folders instead: the cells whose numbers or settings differ.",
)
def cmd(
    *,
    results: Path,
    metric: str | None,
    rows: str | None,
    cols: str | None,
    form: str,
    out: Path | None,
    cell: tuple[str, str] | None,
    against: Path | None,
    counted_as: tuple[str, ...],
    compared: tuple[Path, Path] | None,
    **chosen: str | None,
) -> None:
    """Show the results of runs as tables.

    Reads all records below DIR; you may copy the folders of several machines together. Numbers are means over seeds,
    with a 95 % interval from three seeds on.
    """
    if compared:
        others: dict[str, object] = {
            "--rows": rows,
            "--cols": cols,
            "--cell": cell,
            "--against": against,
            "--as": counted_as,
        }
        _compare_only(form, others | {f"--{name}": value for name, value in chosen.items()})
        _write_changes(compared, metric, form, out)
        return
    if against is None and counted_as:
        raise SpecError("--as says what our datasets count as in published numbers: name their file with --against")
    axes: dict[str, object] = {"--rows": rows, "--cols": cols}
    if against is not None:
        _leave_out("--against sets rows, columns and cells itself", axes | {"--cell": cell})
    if cell:
        _leave_out("--cell shows all metrics of one cell", axes | {"--metric": metric})
    if form == "html" and (rows or cols or against):
        raise SpecError(
            "--format html is a page of attacks x defenses: use html-table with --rows, --cols or --against"
        )
    cells = _chosen(read_records(results), chosen)
    metric = known_metric(metric, cells)
    if against is not None:
        _write_against(_compared(cells, against, counted_as, metric), form, out)
        return
    shown = _pick(cells, *cell) if cell else cells
    view = Axes(*_axes(rows, cols), metric)
    _write(shown, view, form, out, detail=cell is not None)


def _chosen(records: list[Record], asked: dict[str, str | None]) -> list[Cell]:
    """Return the cells that were asked for; what is said of a row still comes from all of its defenses."""
    from benchkit.report.select import chosen, select

    records = select(records, {}, asked["seeds"])
    places = {record.place for record in chosen(records, asked)}
    return [cell for cell in cells_of(records) if cell.records[0].place in places]


def _axes(rows: str | None, cols: str | None) -> tuple[str, str]:
    """Set an axis that was not given to attack or defense, whichever is free."""
    rows = rows or ("defense" if cols == "attack" else "attack")
    cols = cols or ("attack" if rows == "defense" else "defense")
    if rows == cols:
        raise SpecError(f"--rows and --cols are both '{rows}': name two different ones")
    return rows, cols


def _pick(cells: list[Cell], attack: str, defense: str) -> list[Cell]:
    for axis, name in (("attack", attack), ("defense", defense)):
        known = list(dict.fromkeys(str(cell.axis(axis)) for cell in cells))
        if not any(name in _names(cell, axis) for cell in cells):
            hint = did_you_mean(name, known)
            raise SpecError(f"no {axis} '{name}' in these results{hint}; there are {', '.join(known)}")
    found = [cell for cell in cells if attack in _names(cell, "attack") and defense in _names(cell, "defense")]
    if not found:
        raise NothingToRun(f"{attack} was not run against {defense}: there is nothing to report")
    return found


def _names(cell: Cell, axis: str) -> set[str]:
    """Return the names of a cell's attack or defense; if populations differ, with and without the population."""
    return {str(cell.axis(axis)), str(getattr(cell.records[0], axis))}


def _write(cells: list[Cell], view: Axes, form: str, out: Path | None, detail: bool) -> None:
    from benchkit.report.formats.export import to_csv, to_json
    from benchkit.report.formats.html import to_html
    from benchkit.report.tables.cell import page

    exports = {"csv": to_csv, "json": to_json, "html": to_html}
    if form in exports:
        _emit(exports[form](cells, view.metric), out)
    else:
        _show(page(cells) if detail else matrix(cells, view), form, out)


def _compared(cells: list[Cell], file: Path, counted_as: tuple[str, ...], metric: str | None) -> Comparison:
    from benchkit.report.published.numbers import read_published
    from benchkit.report.published.pairs import compare, stand_ins

    file = located(file, ".csv")
    known = METRICS | {name: known_in(cells, name) for cell in cells for name in cell.metrics()}
    return compare(cells, stand_ins(counted_as, read_published(file, known), cells), metric)


def _write_against(comparison: Comparison, form: str, out: Path | None) -> None:
    from benchkit.report.formats.export import pairs_to_csv, pairs_to_json
    from benchkit.report.published.tables import against

    if form in ("csv", "json"):
        _emit({"csv": pairs_to_csv, "json": pairs_to_json}[form](comparison.pairs()), out)
    else:
        _show(against(comparison), form, out)


def _leave_out(why: str, others: dict[str, object]) -> None:
    """Refuse options that would have no effect."""
    named = [name for name, given in others.items() if given]
    if named:
        raise SpecError(f"{why}: leave out {' and '.join(named)}")


def _compare_only(form: str, others: dict[str, object]) -> None:
    """Refuse options that have no effect with ``--compare``."""
    asked = click.get_current_context().get_parameter_source("results") is not ParameterSource.DEFAULT
    _leave_out("--compare names both folders and sets the table itself", {"--results": asked, **others})
    if form == "html":
        raise SpecError("--format html is a page of attacks x defenses: use html-table with --compare")


def _write_changes(folders: tuple[Path, Path], asked: str | None, form: str, out: Path | None) -> None:
    from benchkit.report.runs.export import changes_to_csv, changes_to_json
    from benchkit.report.runs.pairs import twins_of
    from benchkit.report.runs.tables import changes

    a, b = (cells_of(read_records(folder)) for folder in folders)
    metric = known_metric(asked, [*a, *b])
    runs = twins_of((printable(str(folders[0])), printable(str(folders[1]))), a, b)
    if form in ("csv", "json"):
        _emit({"csv": changes_to_csv, "json": changes_to_json}[form](runs, metric), out)
    else:
        _show(changes(runs, metric), form, out)


def _show(report: Report, form: str, out: Path | None) -> None:
    from benchkit.report.formats.text import to_text

    if form == "table" and out is None:
        print_report(report)
    else:
        _emit(to_text(report, "markdown" if form == "table" else form), out)


def _emit(text: str, out: Path | None) -> None:
    if out is None:
        hand_out(text)
        return
    if out.exists() and not out.is_file():
        raise StoreError(f"cannot write {out}: it is not a regular file")
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise StoreError(f"cannot write {out}: {error.strerror}") from error
