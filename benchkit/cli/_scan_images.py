"""benchkit scan images: check a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._complete import listed
from benchkit.cli._scan_common import OUT, common_options, emit, means, planned
from benchkit.errors import SpecError
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request


@click.command("images")
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--defense",
    default="freq-detector",
    show_default=True,
    metavar="NAME",
    shell_complete=listed("defenses"),
    help="An input detector that needs no model, with parameters.",
)
@click.option(
    "--clean",
    metavar="FOLDER|DATASET",
    shell_complete=listed("datasets"),
    help="Trusted images to learn from: a folder, or a dataset's training images.  [required]",
)
@click.option("--size", metavar="N|WxH", help="Sides at which images are compared.  [default: by those of a folder]")
@click.option(
    "--top", type=click.IntRange(1, 10**9), default=20, show_default=True, metavar="N", help="List so many images."
)
@click.option("--sheet", type=OUT, metavar="FILE.png", help="Draw those images with their scores, 200 at most.")
@common_options
def images(path: Path, clean: str | None, size: str | None, top: int, sheet: Path | None, form: str, out: Path | None,
           **options: Any) -> int:  # fmt: skip
    """Score every image in the folder PATH and its subfolders, and list the most suspicious.

    Images are stretched to the size of those from which the detector learned. Symbolic links and hidden files are
    skipped. Notes on stderr, and in the JSON, say first what the scores are worth, measured with a sticker on some of
    your own images, then how many of these are flagged after harmless processing.
    """
    from benchkit.scan.clean import clean_images
    from benchkit.scan.files import require_some
    from benchkit.scan.images import Scan, require_input_detector
    from benchkit.scan.prepare import require_outputs, write
    from benchkit.scan.verdict import notes, to_csv, to_json, to_table
    from benchkit.spec.registry import load

    require_outputs(out, sheet)
    trusted = clean_images(clean, size, path, load(options["plugins"]))
    asked = planned({**options, "datasets": trusted.dataset})
    defense = require_input_detector(_only(asked))
    require_some(path)
    found: Scan = _scanned(asked, path, defense, top, options)
    names = {"path": str(path), "defense": str(defense), "clean": str(asked.spec.datasets[0]), "seed": options["seed"]}
    for sentence in notes(found, names, trusted):
        warn(sentence)
    texts = {
        "table": lambda: to_table(found),
        "csv": lambda: to_csv(found),
        "json": lambda: to_json(found, names, trusted),
    }
    emit(texts[form](), out)
    if sheet:
        from benchkit.scan.sheet import sheet as drawn

        write(sheet, drawn(found, path))
    return 1 if found.flagged else 0


def _scanned(asked: Request, path: Path, defense: Any, top: int, options: dict[str, Any]) -> Any:
    from benchkit.scan.images import Scanner, scan
    from benchkit.scan.prepare import failed, prepare, task_of, workspace_of

    prepare(asked, means(options))
    task = task_of(asked, workspace_of(asked), 0)
    if task is None:
        raise failed(defense)
    return scan(Scanner(task, defense), path, top)


def _only(asked: Request) -> Any:
    """Return the only defense of a request."""
    if len(asked.spec.defenses) != 1:
        raise SpecError(f"images are scored by one input detector, got {len(asked.spec.defenses)}: name one")
    return asked.spec.defenses[0]
