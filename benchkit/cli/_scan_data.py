"""benchkit scan data: check a labelled training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._complete import listed
from benchkit.cli._scan_common import OUT, common_options, emit, means, planned
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request

FILTERS = "spectral-signatures,activation-clustering"


@click.command("data")
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--defense", "--defenses", default=FILTERS, show_default=True, metavar="LIST",
              shell_complete=listed("defenses"), help="Training filters, with parameters.")  # fmt: skip
@click.option("--clean", metavar="FOLDER|DATASET", shell_complete=listed("datasets"),
              help="Trusted images, for filters that learn from such.")  # fmt: skip
@click.option(
    "--size", metavar="N|WxH", help="Sides at which images are compared.  [default: by those of PATH, at most 64]"
)
@click.option("--model", metavar="NAME", shell_complete=listed("models"),
              help="The network that is trained.  [default: narrownet, or preactresnet18 on a GPU]")  # fmt: skip
@click.option("--recipe", "by", metavar="NAME", shell_complete=listed("recipes"),
              help="How it is trained.  [default: fast, or standard on a GPU]")  # fmt: skip
@click.option(
    "--top", type=click.IntRange(1, 10**9), default=20, show_default=True, metavar="N", help="List so many rows."
)
@click.option("--sheet", type=OUT, metavar="FILE.png", help="Draw those images, 200 at most.")
@common_options
def data(path: Path, clean: str | None, size: str | None, model: str | None, by: str | None, top: int,
         sheet: Path | None, form: str, out: Path | None, **options: Any) -> int:  # fmt: skip
    """Let training filters score the training set in PATH, one folder per class, and list the rows to look at.

    A model is trained on the set itself, as these filters need it; a note says beforehand how long that takes. Listed
    are the images that most filters would drop, each with its percentile among all. Symbolic links and hidden files are
    skipped.
    """
    from benchkit.scan.labelled import labelled
    from benchkit.scan.prepare import require_outputs
    from benchkit.scan.rows import notes, rows_of, to_csv, to_json, to_table

    require_outputs(out, sheet)
    at_work, suspects = _at_work(path, clean, size, {**options, "models": model, "recipe": by}, labelled)
    if sentence := at_work.intention():
        warn(sentence)
    known = at_work.train()
    found = at_work.scores()
    rows, said = rows_of(suspects, found, top), notes(suspects, found, known)
    for sentence in said:
        warn(sentence)
    told = {"path": str(path), "model": at_work.asked.spec.models[0], "recipe": str(at_work.asked.spec.recipe),
            "seed": options["seed"]}  # fmt: skip
    texts = {
        "table": lambda: to_table(rows),
        "csv": lambda: to_csv(rows, found),
        "json": lambda: to_json(rows, found, told, suspects, said),
    }
    emit(texts[form](), out)
    if sheet:
        from benchkit.scan.sheet import draw_rows

        draw_rows(rows, suspects, path, sheet)
    return 1 if any(row.flagged_by for row in rows) else 2 if any(one.fault for one in found) else 0


def _at_work(path: Path, clean: str | None, size: str | None, options: dict[str, Any], read: Any) -> Any:
    """Return the filters at work and the training set that they judge."""
    from benchkit.models.create import require_usable
    from benchkit.scan.clean import training_clean
    from benchkit.scan.filters import Filters, require_clean, require_filters
    from benchkit.scan.prepare import prepare, task_of, workspace_of
    from benchkit.spec.registry import load

    dataset, side = training_clean(clean, size, path, load(options["plugins"]))
    asked: Request = planned({**options, "datasets": dataset})
    require_clean(require_filters(asked.spec.defenses), given=clean is not None)
    require_usable(asked.spec.models[0], asked.registry.manager.hook.benchkit_model)
    workspace = workspace_of(asked)
    shape = (3, side, side)
    if clean is not None:
        prepare(asked, means(options))
        tasks = [task_of(asked, workspace, number) for number in range(len(asked.spec.defenses))]
        shape = next((one.shape for one in tasks if one), shape)
    suspects = read(path, shape)
    return Filters(asked, workspace, suspects, clean=clean is not None), suspects
