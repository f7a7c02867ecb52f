"""benchkit scan: check your own images or model, without a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchkit.cli._complete import listed
from benchkit.cli._options import COUNT, SEED, shared_options, threads_option
from benchkit.errors import SpecError
from benchkit.execute.request import ExecutionOptions
from benchkit.spec.suite import SUITE_KEYS
from benchkit.text import hand_out, warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request

F = TypeVar("F", bound=Callable[..., Any])
NOT_ASKED = (*SUITE_KEYS, "suite")
"""Shared options that a scan does not use."""
FORMATS = ("table", "json", "csv")
OUT = click.Path(path_type=Path, dir_okay=False)

COMMON = [
    click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of all random choices."),
    click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True),
    click.option("--out", type=OUT, metavar="FILE", help="Write to this file."),
    click.option("--jobs", type=COUNT, metavar="N",
                 help="Processes that prepare detectors.  [default: one per core or GPU]"),
    threads_option,
    click.option("--quiet", is_flag=True, help="No progress; only results, warnings and errors."),
]  # fmt: skip


@click.group("scan")
def cmd() -> None:
    """Check your own images, or your own model, with detectors that learn from clean images.

    A detector learns once for each clean dataset; the result is stored in the results folder for the next scan, and for
    benchkit run. Exit codes: 0 nothing is above a threshold, 1 something is, 2 usage or configuration.
    """


def common_options(command: F) -> F:
    """Add the options that both scans share."""
    for option in reversed(COMMON):
        command = option(command)
    return shared_options(command)


@cmd.command("images")
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
    metavar="DATASET",
    shell_complete=listed("datasets"),
    help="Learn from its training images, which are trusted.  [default: the embedded one]",
)
@click.option("--size", metavar="N|WxH", help="Sides of the images of --clean, where it has a size parameter.")
@click.option(
    "--top", type=click.IntRange(1, 10**9), default=20, show_default=True, metavar="N", help="List so many images."
)
@click.option("--sheet", type=OUT, metavar="FILE.png", help="Draw those images with their scores, 200 at most.")
@common_options
def images(path: Path, clean: str | None, size: str | None, top: int, sheet: Path | None, form: str, out: Path | None,
           **options: Any) -> int:  # fmt: skip
    """Score every image in the folder PATH and its subfolders, and list the most suspicious.

    Images are stretched to the size of those from which the detector learned. Symbolic links and hidden files are
    skipped. Notes on stderr, and in the JSON, say what the scan can and cannot tell, and how many of your own images
    are flagged after harmless processing.
    """
    from benchkit.scan.images import Scan, require_input_detector
    from benchkit.scan.prepare import require_outputs, write
    from benchkit.scan.verdict import notes, to_csv, to_json, to_table

    require_outputs(out, sheet)
    asked = _request({**options, "datasets": _sized(clean, size, options["plugins"])})
    defense = require_input_detector(_only(asked))
    found: Scan = _scanned(asked, path, defense, top, options)
    told = {
        "path": str(path),
        "defense": str(defense),
        "clean": str(asked.spec.datasets[0]),
        "named": clean is not None,
        "seed": options["seed"],
    }
    for sentence in notes(found, told):
        warn(sentence)
    texts = {"table": lambda: to_table(found), "csv": lambda: to_csv(found), "json": lambda: to_json(found, told)}
    emit(texts[form](), out)
    if sheet:
        from benchkit.scan.sheet import sheet as drawn

        write(sheet, drawn(found))
    return 1 if found.flagged else 0


def _scanned(asked: Request, path: Path, defense: Any, top: int, options: dict[str, Any]) -> Any:
    from benchkit.scan.images import Scanner, scan
    from benchkit.scan.prepare import failed, prepare, task_of, workspace_of

    prepare(asked, _means(options))
    task = task_of(asked, workspace_of(asked), 0)
    if task is None:
        raise failed(defense)
    return scan(Scanner(task, defense), path, top)


@cmd.command("model")
@click.argument("weights", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", required=True, metavar="NAME", shell_complete=listed("models"),
              help="Its architecture: a timm name, or benchkit's own.")  # fmt: skip
@click.option(
    "--clean",
    required=True,
    metavar="DATASET",
    shell_complete=listed("datasets"),
    help="Clean images of the classes of the model, in the same order.",
)
@click.option("--defense", "--defenses", required=True, metavar="LIST", shell_complete=listed("defenses"),
              help="Model detectors, such as neural-cleanse.")  # fmt: skip
@click.option(
    "--pickled-checkpoint",
    is_flag=True,
    help="WEIGHTS may be a .pt or .pth file: read it with torch's restricted unpickler (weights_only=True).",
)
@click.option("--sheet", type=OUT, metavar="FILE.png", help="Draw the images of the detectors: recovered triggers.")
@common_options
def model(weights: Path, model: str, clean: str, pickled_checkpoint: bool, form: str, out: Path | None,
          sheet: Path | None, **options: Any) -> int:  # fmt: skip
    """Let model detectors score the classifier in WEIGHTS, a safetensors file.

    WEIGHTS is a model saved by benchkit (names net.*, mean, std) or the state dict of the architecture. For a state
    dict, the normalisation uses the mean and standard deviation of --clean, which is wrong if the model was trained
    with others. The output gives the accuracy on the test images of --clean; a model at chance is refused. A detector
    may name the classes that it suspects, and give images, such as the trigger that it recovered.
    """
    from benchkit.models.create import require_usable
    from benchkit.scan.accuracy import accuracy
    from benchkit.scan.model import judge, notes, require_model_detectors, suspect, to_csv, to_json, to_table
    from benchkit.scan.prepare import prepare, require_outputs, workspace_of
    from benchkit.scan.sheet import draw_images

    require_outputs(out, sheet)
    asked = _request({**options, "datasets": clean, "models": model})
    require_model_detectors(asked.spec.defenses)
    require_usable(model, asked.registry.manager.hook.benchkit_model)
    workspace = workspace_of(asked)
    task = workspace.task(_decoded(asked, options))
    classifier, said = suspect(task, weights, pickled_checkpoint)
    known = accuracy(task, classifier)  # before detectors train for minutes
    prepare(asked, _means(options))
    verdicts = judge(asked, workspace, classifier)
    said += notes(verdicts, len(task.data.classes))
    said += draw_images(verdicts, sheet) if sheet else []
    for sentence in said:
        warn(sentence)
    told = {"weights": str(weights), "model": model, "clean": str(asked.spec.datasets[0]), "seed": options["seed"]}
    texts = {
        "table": lambda: to_table(verdicts, known),
        "csv": lambda: to_csv(verdicts, known),
        "json": lambda: to_json(verdicts, known, told, said),
    }
    emit(texts[form](), out)
    words = {one.word for one in verdicts}
    return 1 if "flagged" in words else 2 if "failed" in words else 0


def _decoded(asked: Request, options: dict[str, Any]) -> Any:
    """Decode only the clean dataset; return a job that reads it."""
    from dataclasses import replace

    from benchkit.plan.job import DATA, Ref
    from benchkit.plan.steps import Plan
    from benchkit.scan.prepare import prepare

    step = asked.plan.steps[asked.plan.cells[0]]
    prepare(replace(asked, plan=Plan({step.key: step}, [step.key])), _means(options))
    return replace(step.job, parents={DATA: Ref("data", step.key)})


def _means(options: dict[str, Any]) -> ExecutionOptions:
    return ExecutionOptions(jobs=options["jobs"], quiet=options["quiet"], threads=options["threads"])


def _request(options: dict[str, Any]) -> Request:
    """Plan only the preparation of detectors."""
    from benchkit.execute.resolve import request
    from benchkit.scan.prepare import plan_detectors

    fixed = {"attacks": "none", "victims": False, "defenses": options["defense"], "seeds": f"{options['seed']},"}
    return request({**dict.fromkeys(NOT_ASKED), **options, **fixed}, plan_detectors)


def _only(asked: Request) -> Any:
    """Return the only defense of a request."""
    if len(asked.spec.defenses) != 1:
        raise SpecError(f"images are scored by one input detector, got {len(asked.spec.defenses)}: name one")
    return asked.spec.defenses[0]


def _sized(clean: str | None, size: str | None, plugins: tuple[str, ...]) -> str | None:
    """Return the requested clean dataset, with ``size`` as its parameter of that name.

    Raises:
        SpecError: if the size is not square, or the dataset has no such parameter.
    """
    if size is None:
        return clean
    sides = size.lower().split("x")
    if not all(side.isdecimal() for side in sides) or len(set(sides)) != 1 or len(sides) > 2:
        raise SpecError(f"--size must be one number or those of a square (32 or 32x32), got '{size}'")
    from benchkit.params.component import fields_of
    from benchkit.params.grammar import pieces
    from benchkit.spec.registry import load

    (name, given), *_ = pieces(clean) if clean else [("", {})]
    if not name or "size" not in fields_of(load(plugins).get("datasets", name)):
        what = f"{name} has images of one size" if name else "the embedded dataset has images of one size"
        raise SpecError(f"{what}: leave --size out, or name a --clean dataset with a size parameter")
    return f"{clean}{',' if given else ':'}size={sides[0]}"


def emit(text: str, out: Path | None) -> None:
    """Write a result to a file, or to standard output."""
    if out is None:
        hand_out(text)
        return
    from benchkit.scan.prepare import write

    write(out, text.encode())


for one in (images, model):
    one.params = [option for option in one.params if option.name not in NOT_ASKED]
