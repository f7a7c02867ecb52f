"""Records as a program or a notebook wants them: a sequence that shows itself as the matrix, and a tidy table."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from benchkit.records.record import Record
    from benchkit.report.tables.document import Report


class Results(Sequence["Record"]):
    """The records of a run, or of a results folder: one for each cell and seed, in the order of their names.

    A notebook shows them as the matrix. A cell that failed is among them: its ``status`` is ``failed``, ``timeout`` or
    ``skipped`` instead of ``ok``, its ``error`` says why, it has no metrics, and ``failed`` holds all of these. A
    record's fields are those of its JSON file: ``attack``, ``defense``, ``dataset``, ``model``, ``recipe``,
    ``poison_rate``, ``seed``, ``status``, ``error``, ``metrics`` (fractions, not percent), ``warnings`` and so on.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        """Keep these records; of several of one cell and seed, the newest."""
        from benchkit.report.load import newest

        self._records = sorted(newest(records), key=lambda one: (*map(str, one.identity[:-1]), one.seed))

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Results: ...
    def __getitem__(self, index: int | slice) -> Record | Results:
        return Results(self._records[index]) if isinstance(index, slice) else self._records[index]

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        axes = ("attack", "defense", "dataset", "model", "seed")
        counts = {axis: len({getattr(one, axis) for one in self}) for axis in axes}
        told = ", ".join(f"{number} {axis}{'' if number == 1 else 's'}" for axis, number in counts.items())
        return f"<benchkit.Results: {len(self)} record{'' if len(self) == 1 else 's'}{failed}; {told}>"

    @property
    def failed(self) -> list[Record]:
        """The records of cells that have no results."""
        return [record for record in self if record.status != "ok"]

    def to_markdown(self, metric: str | None = None) -> str:
        """Return the matrix with its notes, as ``benchkit report --format markdown`` writes it.

        Args:
            metric: what to show in every cell, such as ``asr`` or ``seconds``; None: what each kind of defense is
                judged by.

        Raises:
            SpecError: when there is no such metric.
            NothingToRun: when there are no records, or none has the metric.
        """
        return self._text("markdown", metric)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the tidy table by column, as ``benchkit export --to csv`` writes it: ``pandas.DataFrame`` takes it.

        Each column has one value a record, None where the record does not say. Metrics are fractions, ``warnings``
        lists of str, ``finished`` a datetime in UTC, all else str, int and float.
        """
        from benchkit.report.formats.dataframe import tidy

        return {column.name: column.values for column in tidy(self)}

    def matrix(self, metric: str | None = None) -> Report:
        """Return the matrix before it is written in any format; arguments and errors as in ``to_markdown``."""
        from benchkit.errors import NothingToRun
        from benchkit.report.cells import cells_of, known_metric
        from benchkit.report.tables.matrix import Axes, matrix

        if not self:
            raise NothingToRun("there are no results to report")
        cells = cells_of(self)
        return matrix(cells, Axes(metric=known_metric(metric, cells)))

    def _text(self, form: str, metric: str | None = None) -> str:
        from benchkit.report.formats.text import to_text

        return to_text(self.matrix(metric), form)

    def _repr_markdown_(self) -> str:
        return self._text("markdown") if self else repr(self)

    def _repr_html_(self) -> str:
        return self._text("html-table") if self else html.escape(repr(self))
