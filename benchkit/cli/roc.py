"""benchkit roc: a figure of ROC curves from records."""

from __future__ import annotations

from pathlib import Path

import click

from benchkit.cli._records import out_option, say_faults, selecting
from benchkit.report.cells import cells_of
from benchkit.report.load import read_records
from benchkit.report.select import chosen
from benchkit.text import warn


@click.command("roc")
@selecting("attack", "defense", "dataset", "model")
@click.option("--log", is_flag=True, help="A logarithmic FPR axis: few false alarms are what counts.")
@out_option
def cmd(out: Path, results: Path, log: bool, **options: str | None) -> None:
    """Draw the ROC curves of the input detectors of finished runs.

    One panel per defense (and dataset, model, recipe and poison rate if there are several), one line per attack: the
    mean over seeds, with a band from the lowest to the highest. Needs matplotlib: pip install 'benchkit[plot]'.
    """
    from benchkit.errors import NothingToRun
    from benchkit.report.figures import spectra
    from benchkit.report.figures.roc import curves_in, draw

    spectra.require(out)
    curves, faults = curves_in(cells_of(chosen(read_records(results), options)))
    say_faults(faults)
    if not curves.panels:
        raise NothingToRun(
            f"no record of these in {results} holds a ROC curve: input detectors such as strip have one, so run these "
            "attacks with such a defense (again, where an older benchkit ran them)"
        )
    draw(curves, log).save(out)
    warn(f"wrote {out}")
