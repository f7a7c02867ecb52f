"""benchkit features: draw what victims make of triggers."""

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
    from benchkit.report.figures.features import Panel

METHODS = ("pca", "umap")


@click.command("features")
@figure_options
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="pca",
    show_default=True,
    help="How features become a plane; umap needs 'benchkit[umap]'.",
)
@click.option(
    "--images",
    type=click.IntRange(2, 10**6),
    default=500,
    show_default=True,
    metavar="N",
    help="Test images of each kind, at most.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of victims, triggers and images.")
def cmd(out: Path, method: str, images: int, seed: int, **options: Any) -> int:
    """Draw the victims' features of clean, triggered and control images, and where a victim looks.

    A row for each attack: the inputs of the last linear layer in a plane; an image without and with the trigger,
    darkened where Grad-CAM says that the victim does not look; and the channels that the trigger moves most. Victims
    that the results folder lacks are trained first. Needs matplotlib: pip install 'benchkit[plot]'.

    Exit codes: 0 drawn, 1 drawn without the attacks that failed, 2 usage or configuration.
    """
    from benchkit.plan.figures import plan_features
    from benchkit.report.figures import features, spectra

    spectra.require(out)
    features.require_method(method)
    asked = computed(partial(plan_features, images=images), seed, options)
    panels = _panels(asked)
    title = f"Features of {asked.spec.models[0]} on {asked.spec.datasets[0]}, seed {seed}"
    spectra.save(features.draw(panels, title, method, seed), out)
    failed = len(asked.plan.cells) - len(panels)
    warn(f"wrote {out}" + (f" without {failed} of {len(asked.plan.cells)} attacks" if failed else ""))
    return 1 if failed else 0


without(cmd, SHOWN_ONCE)


def _panels(asked: Request) -> list[Panel]:
    """Return what the store has of each attack.

    Raises:
        NothingToRun: if every step failed.
    """
    from benchkit.errors import NothingToRun

    classes = next(
        asked.store.meta("data", step.job.key)["info"]["classes"]
        for step in asked.plan.steps.values()
        if step.job.stage == "data"
    )
    panels = [_panel(attack, tensors, classes) for attack, tensors, _ in kept(asked)]
    if not panels:
        raise NothingToRun("nothing to draw: every step failed")
    return panels


def _panel(attack: str, tensors: dict[str, Any], classes: list[str]) -> Panel:
    from benchkit.report.figures.features import Panel

    found: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    groups: dict[str, Any] = {name: found[name] for name in ("clean", "control", "triggered") if name in found}
    if "wanted" not in found:
        return Panel(attack, groups, found["labels"])
    wanted = found["wanted"]
    said = tuple(classes[label] for label in found["said"])
    one = int(wanted[0]) if (wanted == wanted[0]).all() else -1
    return Panel(attack, groups, found["labels"], one, found["pair"], found.get("maps"), said)
