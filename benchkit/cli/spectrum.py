"""benchkit spectrum: draw triggers in the frequency domain."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._figures import SHOWN_ONCE, computed, figure_options, kept
from benchkit.cli._options import SEED, without
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request
    from benchkit.report.figures.spectra import Panel


@click.command("spectrum")
@figure_options
@click.option(
    "--figure",
    type=click.Choice(("overview", "detail")),
    default="overview",
    show_default=True,
    help="overview: every mean spectrum on one scale. detail: trigger, its spectrum, example, mean.",
)
@click.option(
    "--preset",
    type=click.Choice(("log", "paper-small", "paper-large")),
    default="log",
    show_default=True,
    help="Scale: ln, linear 0 to 4500, or ln clipped to 1.5 to 4.5.",
)
@click.option(
    "--images",
    type=click.IntRange(1, 10**9),
    default=1000,
    show_default=True,
    metavar="N",
    help="Test images to average over, at most.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the images and triggers.")
def cmd(out: Path, figure: str, preset: str, images: int, seed: int, **options: Any) -> int:
    """Draw the mean spectra of clean images and of images with each trigger (Zeng et al., ICCV 2021, Figures 1-3).

    Triggers that must be crafted are crafted first, or taken from the results folder. Low frequencies are at
    the top left. Needs matplotlib: pip install 'benchkit[plot]'.

    Exit codes: 0 drawn, 1 drawn without the attacks that failed, 2 usage or configuration.
    """
    from benchkit.plan.figures import plan_spectra
    from benchkit.report.figures import spectra

    spectra.require(out)
    asked = computed(partial(plan_spectra, images=images), seed, options)
    panels, count = _panels(asked)
    draw = spectra.overview if figure == "overview" else spectra.detail
    title = f"Mean DCT spectra: {asked.spec.datasets[0]}, {count} test images"
    spectra.save(draw(panels, spectra.PRESETS[preset], title), out)
    failed = len(asked.plan.cells) - len(panels)
    warn(f"wrote {out}" + (f" without {failed} of {len(asked.plan.cells)} spectra" if failed else ""))
    return 1 if failed else 0


without(cmd, (*SHOWN_ONCE, "poison_rate"))


def _panels(asked: Request) -> tuple[list[Panel], int]:
    """Return the stored spectra of each attack, those of clean images first, and the number of images.

    Raises:
        NothingToRun: if even the spectrum of clean images is missing.
    """
    from benchkit.errors import NothingToRun
    from benchkit.report.figures.spectra import Panel

    panels, count = [], 0
    for attack, tensors, told in kept(asked):
        panels.append(Panel("clean" if attack == "none" else attack, **tensors))
        count = told["images"]
    if not panels:
        raise NothingToRun("nothing to draw: every spectrum failed")
    return panels, count
