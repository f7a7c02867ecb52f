"""benchkit cache: the artifacts of a results folder. Records are never touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from benchkit.cli._options import RESULTS
from benchkit.cli.plan import STAGES
from benchkit.errors import SpecError, StoreError, did_you_mean

folder = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=RESULTS,
    show_default=True,
    metavar="DIR",
    help="Results folder.",
)


@click.group("cache")
def cmd() -> None:
    """Look at or remove artifacts: datasets as decoded, poisoned sets, victims, trained detectors."""


@cmd.command("ls")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(results: Path, as_json: bool) -> None:
    """List artifacts with their sizes."""
    from tabulate import tabulate

    rows = _artifacts(results)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = [(row["stage"], row["key"][:8], f"{row['bytes'] / 2**20:.1f}", row["label"]) for row in rows]
    click.echo(tabulate(table, headers=("stage", "key", "MiB", "of"), disable_numparse=True))
    click.echo(f"{len(rows)} artifacts, {sum(row['bytes'] for row in rows) / 2**20:.1f} MiB")


@cmd.command("prune")
@folder
@click.option("--stage", "stages", multiple=True, help="Only this stage; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(results: Path, stages: tuple[str, ...], yes: bool) -> None:
    """Remove artifacts; whatever is needed again is made again. Records stay."""
    found = _artifacts(results)
    known = {*STAGES, *(row["stage"] for row in found)}
    for stage in stages:
        if stage not in known:
            raise SpecError(f"there is no stage '{stage}'{did_you_mean(stage, known)}: benchkit cache ls names them")
    rows = [row for row in found if not stages or row["stage"] in stages]
    size = sum(row["bytes"] for row in rows) / 2**20
    question = f"remove {len(rows)} artifacts ({size:.1f} MiB) from {results}?"
    if rows and not yes and not click.confirm(question, err=True):
        rows, size = [], 0.0
    for row in rows:
        shutil.rmtree(row["path"], ignore_errors=True)
    left = [row["path"] for row in rows if Path(row["path"]).exists()]
    if left:
        raise StoreError(f"could not remove {len(left)} of {len(rows)} artifacts, such as {left[0]}: see who owns them")
    click.echo(f"removed {len(rows)} artifacts, {size:.1f} MiB")


def _artifacts(results: Path) -> list[dict[str, Any]]:
    root = results / "artifacts"
    if not results.is_dir():
        raise StoreError(f"there is no results folder {results}: name it with --results")
    return [_row(path.parent) for path in sorted(root.glob("*/*/manifest.json"))]


def _row(path: Path) -> dict[str, Any]:
    try:
        label = json.loads((path / "manifest.json").read_text())["meta"]["label"]
    except (OSError, ValueError, KeyError, TypeError):
        label = "(damaged)"
    size = sum(file.stat().st_size for file in path.iterdir())
    return {"stage": path.parent.name, "key": path.name, "bytes": size, "label": label, "path": str(path)}
