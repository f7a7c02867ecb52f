"""benchkit export: records as a table for other programs, victims as folders for the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

import click

from benchkit.cli._records import selecting
from benchkit.errors import SpecError, StoreError
from benchkit.execute.resolve import data_root, model_code
from benchkit.records.record import Record
from benchkit.report.load import newest, read_records
from benchkit.report.select import chosen
from benchkit.text import hand_out, warn

FOLDERS = ("hf", "images")
"""Forms that are folders of what a run left."""
VICTIM_OPTIONS = {"license_id": "--license", "root": "--data-root", "plugins": "--plugin"}


@click.command("export")
@click.option(
    "--to",
    "form",
    type=click.Choice(("csv", "parquet", "hf", "images")),
    required=True,
    help="A table of records (csv, parquet), trained victims (hf), or poisoned and stamped images.",
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
    attack of the records, a folder with the training images that it changed, the test images with its trigger, and
    tables that say which rows they are (benchkit import reads them). Nothing is uploaded.

    Exit codes: 0 written, 1 written without the victims that no longer exist, 2 usage, 3 nothing to export.
    """
    given = {"license_id": license_id, "root": root, "plugins": plugins}
    misplaced = [flag for name, flag in VICTIM_OPTIONS.items() if given[name]] if form not in FOLDERS else []
    if misplaced:
        raise SpecError(f"{misplaced[0]} is for --to {' and '.join(FOLDERS)}: leave it out with {form}")
    if out is None and form != "csv":
        raise SpecError(f"--to {form} does not go to the terminal: name a {_noun(form)} with --out")
    license_id = _license(license_id)
    everything = newest(read_records(results))
    wanted = sorted(chosen(everything, asked), key=lambda record: (*map(str, record.identity[:-1]), record.seed))
    if form in FOLDERS:
        assert out is not None
        return _victims(form, wanted, everything, results, out, license_id, root, plugins)
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


def _victims(
    form: str, wanted: list[Record], records: list[Record], results: Path, out: Path, license_id: str,
    root: Path | None, plugins: tuple[str, ...],
) -> int:  # fmt: skip
    """Write the folders of the victims of records, or of their attacks' images."""
    from functools import partial

    from benchkit.contracts.data import Source
    from benchkit.export import images, victims
    from benchkit.spec.registry import load
    from benchkit.store.store import Store

    registry, source, store = load(plugins), Source(data_root(root)), Store(results)
    found = victims.Finder(registry, source, partial(model_code, registry)).find(wanted)
    pictured = form == "images"
    found = [one for one in found if not (pictured and one.attack.benign)]
    gone = victims.missing(found, store, images=pictured)
    there = [one for one in found if one not in gone]
    if not there:
        raise StoreError(
            victims.left_out(gone, results) if gone else "these records have no attack to export images of"
        )
    if gone:
        warn(f"warning: {victims.left_out(gone, results)}")
    if pictured:
        images.export(there, store, registry, source, out, license_id)
    else:
        victims.export(there, store, records, out, license_id)
    what = "attack" if pictured else "victim"
    warn(f"wrote {len(there)} {what}{'' if len(there) == 1 else 's'} to {out}")
    return 1 if gone else 0
