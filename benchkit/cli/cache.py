"""benchkit cache: the artifacts of a results folder. Records are never touched."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import click

from benchkit.api import RESULTS
from benchkit.cli.plan import STAGES
from benchkit.errors import SpecError, StoreError, did_you_mean
from benchkit.text import printable, say, warn

LARGEST = 2**26
"""Bytes of the largest manifest that is read; one with the scores of a population has thousands."""

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
        say(json.dumps(rows, indent=1))
        return
    table = [
        (printable(row["stage"]), printable(row["key"])[:8], f"{row['bytes'] / 2**20:.1f}", printable(row["label"]))
        for row in rows
    ]
    say(tabulate(table, headers=("stage", "key", "MiB", "of"), disable_numparse=True))
    say(f"{len(rows)} artifacts, {sum(row['bytes'] for row in rows) / 2**20:.1f} MiB")


@cmd.command("prune")
@folder
@click.option("--stage", "stages", multiple=True, help="Only this stage; may be repeated.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(results: Path, stages: tuple[str, ...], yes: bool) -> None:
    """Remove artifacts; they are made again when needed. Records stay."""
    found = _artifacts(results)
    known = {*STAGES, *(row["stage"] for row in found)}
    for stage in stages:
        if stage not in known:
            raise SpecError(f"there is no stage '{stage}'{did_you_mean(stage, known)}: benchkit cache ls names them")
    rows = [row for row in found if not stages or row["stage"] in stages]
    size = sum(row["bytes"] for row in rows) / 2**20
    question = f"remove {len(rows)} artifacts ({size:.1f} MiB) from {printable(str(results))}?"
    if rows and not yes and not _agreed(question):
        rows, size = [], 0.0
    for row in rows:
        shutil.rmtree(row["path"], ignore_errors=True)
    left = [row["path"] for row in rows if Path(row["path"]).exists()]
    if left:
        raise StoreError(f"could not remove {len(left)} of {len(rows)} artifacts, such as {left[0]}: see who owns them")
    say(f"removed {len(rows)} artifacts, {size:.1f} MiB")


def _agreed(question: str) -> bool:
    """Ask for confirmation.

    Raises:
        SpecError: if stdin is not a terminal.
    """
    try:
        return click.confirm(question, err=True)
    except (click.Abort, RuntimeError, ValueError, OSError) as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise SpecError("there is no terminal to ask: use --yes to remove them without a question") from None


def _artifacts(results: Path) -> list[dict[str, Any]]:
    """Return a row for each artifact. Links are not followed: their targets may not belong to the results folder."""
    if not results.is_dir():
        raise StoreError(f"there is no results folder {results}: name it with --results")
    root = results / "artifacts"
    if root.is_symlink():
        raise StoreError(f"{root} is a link, which is not followed: look at the results folder it leads to instead")
    stages = _folders(root) if root.exists() else ()
    return [_row(path) for stage in stages for path in _folders(stage)]


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted; report links and errors."""
    try:
        entries = sorted((entry.name, entry) for entry in os.scandir(folder) if not entry.name.startswith("."))
    except OSError as error:
        warn(f"warning: cannot list {folder}: {error.strerror}")
        return []
    for name, entry in entries:
        if entry.is_symlink():
            warn(f"warning: {folder / name} is a link, and was passed over")
    return [folder / name for name, entry in entries if entry.is_dir(follow_symlinks=False)]


def _row(path: Path) -> dict[str, Any]:
    return {"stage": path.parent.name, "key": path.name, "bytes": _size(path), "label": _label(path), "path": str(path)}


def _size(path: Path) -> int:
    try:
        with os.scandir(path) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError as error:  # another run may have removed it meanwhile
        warn(f"warning: cannot list {path}: {error.strerror}")
        return 0


def _label(path: Path) -> str:
    """Return the label of an artifact from its manifest."""
    try:
        handle = os.open(path / "manifest.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
                return "(damaged)"
            return str(json.loads(file.read())["meta"]["label"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "(damaged)"
