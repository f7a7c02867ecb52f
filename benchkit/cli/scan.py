"""benchkit scan: check your own images, training set or model, without a benchmark."""

from __future__ import annotations

import click

from benchkit.cli._options import without
from benchkit.cli._scan_common import NOT_ASKED
from benchkit.cli._scan_data import data
from benchkit.cli._scan_images import images
from benchkit.cli._scan_model import model


@click.group("scan")
def cmd() -> None:
    """Check your own images, or your own model, with detectors that learn from clean images.

    A detector learns once for each clean dataset; the result is stored in the results folder for the next scan, and for
    benchkit run. Exit codes: 0 nothing is above a threshold, 1 something is, 2 usage or configuration.
    """


for one in (images, data, model):
    cmd.add_command(without(one, NOT_ASKED))
