"""benchkit export: records as a table for other programs, victims as folders for the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchkit.cli._records import selecting
from benchkit.errors import SpecError, StoreError
from benchkit.execute.resolve import data_root, model_code
from benchkit.records.record import Record
from benchkit.report.load import newest, read_records
from benchkit.report.select import chosen
from benchkit.text import hand_out, warn

if TYPE_CHECKING:
    from benchkit.export.victims import Victim

VICTIM_OPTIONS = {"license_id": "--license", "root": "--data-root", "plugins": "--plugin"}


@click.command("export")
@click.option(
    "--to",
    "form",
    type=click.Choice(("csv", "parquet", "hf")),
    required=True,
    help="A table of records (csv, parquet), or trained victims (hf).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File to write, or with hf the folder to make.  [default: csv goes to stdout]",
)
@selecting("attack", "defense", "dataset", "model")
@click.option(
    "--license",
    "license_id",
    metavar="ID",
    help="With hf: the licence that model cards state, such as cc-by-4.0.  [default: unknown]",
)
@click.option(
    "--data-root",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With hf: where datasets are, as for benchkit run.",
)
@click.option(
    "-p",
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="With hf: load a loose plugin file that the run used; may be repeated.",
)
def cmd(
    form: str, out: Path | None, results: Path, license_id: str | None, root: Path | None, plugins: tuple[str, ...],
    **asked: str | None,
) -> int:  # fmt: skip
    """Write the results of runs for other programs.

    csv and parquet: one row per record (the newest of each), one column per parameter, metric, cost and version. hf:
    for each victim of the records, a folder with model.safetensors, config.json and a model card. Nothing is uploaded.

    Exit codes: 0 written, 1 written without the victims that no longer exist, 2 usage, 3 nothing to export.
    """
    given = {"license_id": license_id, "root": root, "plugins": plugins}
    misplaced = [flag for name, flag in VICTIM_OPTIONS.items() if given[name]] if form != "hf" else []
    if misplaced:
        raise SpecError(f"{misplaced[0]} is for --to hf: leave it out with {form}")
    if out is None and form != "csv":
        raise SpecError(f"--to {form} does not go to the terminal: name a {_noun(form)} with --out")
    license_id = _license(license_id)
    everything = newest(read_records(results))
    wanted = sorted(chosen(everything, asked), key=lambda record: (*map(str, record.identity[:-1]), record.seed))
    if form == "hf":
        assert out is not None
        return _victims(_found(wanted, root, plugins), everything, results, out, license_id)
    _table(form, wanted, out)
    return 0


def _noun(form: str) -> str:
    return "folder" if form == "hf" else "file"


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


def _found(records: list[Record], root: Path | None, plugins: tuple[str, ...]) -> list[Victim]:
    from functools import partial

    from benchkit.contracts.data import Source
    from benchkit.export.victims import Finder
    from benchkit.spec.registry import load

    registry = load(plugins)
    return Finder(registry, Source(data_root(root)), partial(model_code, registry)).find(records)


def _victims(victims: list[Victim], records: list[Record], results: Path, out: Path, license_id: str) -> int:
    from benchkit.export.victims import export, left_out, missing
    from benchkit.store.store import Store

    store = Store(results)
    gone = missing(victims, store)
    there = [one for one in victims if one not in gone]
    if not there:
        raise StoreError(left_out(gone, results))
    if gone:
        warn(f"warning: {left_out(gone, results)}")
    export(there, store, records, out, license_id)
    warn(f"wrote {len(there)} victim{'' if len(there) == 1 else 's'} to {out}")
    return 1 if gone else 0
