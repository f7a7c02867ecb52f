"""benchkit export: records as a table for other programs, victims as folders for the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchkit.cli._records import selecting
from benchkit.errors import NothingToRun, SpecError, StoreError
from benchkit.execute.resolve import data_root, model_code
from benchkit.records.record import Record
from benchkit.report.load import newest, read_records
from benchkit.report.select import chosen
from benchkit.text import hand_out, warn

if TYPE_CHECKING:
    from benchkit.export.victims import Victim
    from benchkit.store.store import Store

FOLDERS = ("hf", "images")
VICTIM_OPTIONS = {"license_id": "--license", "root": "--data-root", "plugins": "--plugin"}


@click.command("export")
@click.option(
    "--to",
    "form",
    type=click.Choice(("csv", "parquet", "hf", "images")),
    required=True,
    help="A table of records (csv, parquet), trained victims (hf), or what they were trained on (images).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write, or with hf and images the folder to make.  [default: csv goes to stdout]",
)
@selecting("attack", "defense", "dataset", "model")
@click.option(
    "--license",
    "license_id",
    metavar="ID",
    help="With hf and images: the licence that cards state, such as cc-by-4.0.  [default: unknown]",
)
@click.option(
    "--data-root",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With hf and images: where datasets are, as for benchkit run.",
)
@click.option(
    "-p",
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="With hf and images: load a loose plugin file that the run used; may be repeated.",
)
def cmd(
    form: str, out: Path | None, results: Path, license_id: str | None, root: Path | None, plugins: tuple[str, ...],
    **asked: str | None,
) -> int:  # fmt: skip
    """Write the results of runs for other programs.

    csv and parquet: one row per record (the newest of each), one column per parameter, metric, cost and version. hf:
    for each victim of the records, a folder with model.safetensors, config.json and a model card. images: for each
    attack of the records, a folder with its poisoned training set, its stamped test images and its victim, which
    replay:root=FOLDER runs again. Nothing is uploaded.

    Exit codes: 0 written, 1 written without the victims that no longer exist, 2 usage, 3 nothing to export.
    """
    given = {"license_id": license_id, "root": root, "plugins": plugins}
    misplaced = [flag for name, flag in VICTIM_OPTIONS.items() if given[name]] if form not in FOLDERS else []
    if misplaced:
        raise SpecError(f"{misplaced[0]} is for --to hf and images: leave it out with {form}")
    if out is None and form != "csv":
        raise SpecError(f"--to {form} does not go to the terminal: name a {_noun(form)} with --out")
    license_id = _license(license_id)
    everything = newest(read_records(results))
    wanted = sorted(chosen(everything, asked), key=lambda record: (*map(str, record.identity[:-1]), record.seed))
    if form in FOLDERS:
        assert out is not None
        return _victims(form, wanted, everything, _Given(results, out, license_id, root, plugins))
    _table(form, wanted, out)
    return 0


def _noun(form: str) -> str:
    return "folder" if form in FOLDERS else "file"


def _license(text: str | None) -> str:
    if text is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        raise SpecError(f"--license must be an identifier such as cc-by-4.0, got {text!a}")
    return text or "unknown"


def _table(form: str, records: list[Record], out: Path | None) -> None:
    from benchkit.report.formats.dataframe import tidy, to_csv, to_parquet
    from benchkit.scan.prepare import require_writable, write

    require_writable(out)
    raw = to_parquet(tidy(records)) if form == "parquet" else to_csv(tidy(records)).encode()
    if out is None:
        hand_out(raw.decode())
    else:
        write(out, raw)


@dataclass(frozen=True)
class _Given:
    """What was asked for besides the records."""

    results: Path
    out: Path
    license_id: str
    root: Path | None
    plugins: tuple[str, ...]


def _victims(form: str, wanted: list[Record], everything: list[Record], given: _Given) -> int:
    from functools import partial

    from benchkit.contracts.data import Source
    from benchkit.export.victims import Finder
    from benchkit.spec.registry import load
    from benchkit.store.store import Store

    registry, source, store = load(given.plugins), Source(data_root(given.root)), Store(given.results)
    victims = Finder(registry, source, partial(model_code, registry)).find(wanted)
    there, gone = _stored(victims if form == "hf" else _implanted(victims), store, form, given.results)
    if form == "hf":
        from benchkit.export.victims import export

        export(there, store, everything, given.out, given.license_id)
    else:
        from benchkit.export.images import export_images

        export_images(there, store, registry, source, given.out, given.license_id)
    noun = "victim" if form == "hf" else "attack"
    warn(f"wrote {len(there)} {noun}{'' if len(there) == 1 else 's'} to {given.out}")
    return 1 if gone else 0


def _implanted(victims: list[Victim]) -> list[Victim]:
    """Return the victims that were attacked. Raises NothingToRun if there is none."""
    found = [one for one in victims if not one.attack.benign]
    if not found:
        raise NothingToRun("no attack is among these records: images are those that an attack changed")
    return found


def _stored(victims: list[Victim], store: Store, form: str, results: Path) -> tuple[list[Victim], bool]:
    """Return the victims that can be written, after a warning of those that cannot, and whether there are any."""
    from benchkit.export.victims import left_out, missing

    gone = missing(victims, store, images=form == "images")
    there = [one for one in victims if one not in gone]
    if not there:
        raise StoreError(left_out(gone, results))
    if gone:
        warn(f"warning: {left_out(gone, results)}")
    return there, bool(gone)
