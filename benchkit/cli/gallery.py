"""benchkit gallery: a figure of the effect of every trigger on an image, from records."""

from __future__ import annotations

from pathlib import Path

import click

from benchkit.cli._records import out_option, say_faults, selecting
from benchkit.report.cells import cells_of
from benchkit.report.load import read_records
from benchkit.report.select import chosen
from benchkit.text import warn


@click.command("gallery")
@selecting("attack", "dataset", "model")
@out_option
def cmd(out: Path, results: Path, **options: str | None) -> None:
    """Draw the triggers of finished runs: an image, the same with the trigger, the difference, its spectrum.

    One row per attack, and per dataset if there are several. The pictures come from the records of the no-defense
    column; no image is read and nothing is stamped. Needs matplotlib: pip install 'benchkit[plot]'.
    """
    from benchkit.errors import NothingToRun
    from benchkit.report.figures import gallery, spectra

    spectra.require(out)
    rows, faults = gallery.rows_of(cells_of(chosen(read_records(results), options)))
    say_faults(faults)
    if not rows:
        raise NothingToRun(
            f"no record of these in {results} holds a picture of a trigger: benchkit run puts them into the "
            "no-defense column, so run these attacks with --victims (again, where an older benchkit ran them)"
        )
    gallery.draw(rows).save(out)
    warn(f"wrote {out}")
