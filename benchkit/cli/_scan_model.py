"""benchkit scan model: check a trained classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchkit.cli._complete import listed
from benchkit.cli._scan_common import OUT, common_options, emit, means, planned
from benchkit.text import warn

if TYPE_CHECKING:
    from benchkit.execute.request import Request


@click.command("model")
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
@click.option("--mean", metavar="LIST", help="Of its input normalisation, for pixels from 0 to 1: 0.485,0.456,0.406.")
@click.option("--std", metavar="LIST", help="Likewise.  [default: timm's data config, else those of --clean]")
@click.option("--size", metavar="N|WxH", help="Sides of its inputs.  [default: timm's data config, else --clean's]")
@click.option("--sheet", type=OUT, metavar="FILE.png", help="Draw the images of the detectors: recovered triggers.")
@common_options
def model(weights: Path, model: str, clean: str, pickled_checkpoint: bool, mean: str | None, std: str | None,
          size: str | None, form: str, out: Path | None, sheet: Path | None, **options: Any) -> int:  # fmt: skip
    """Let model detectors score the classifier in WEIGHTS, a safetensors file.

    WEIGHTS is a model saved by benchkit (names net.*, mean, std) or the state dict of the architecture. A state dict
    without normalisation is scanned with --mean and --std, or else with timm's data config of the model, or else with
    the statistics of --clean; every score of a model that was trained with others is wrong. The output gives the
    accuracy on the test images of --clean; a model at chance is refused. A detector may name the classes that it
    suspects, and give images, such as the trigger that it recovered.
    """
    from benchkit.models.create import require_usable
    from benchkit.scan.accuracy import accuracy
    from benchkit.scan.inputs import given_inputs, sized_clean
    from benchkit.scan.model import judge, notes, require_model_detectors, to_csv, to_json, to_table
    from benchkit.scan.prepare import prepare, require_outputs, workspace_of
    from benchkit.scan.sheet import draw_images
    from benchkit.scan.suspect import suspect
    from benchkit.spec.registry import load

    require_outputs(out, sheet)
    given = given_inputs(mean, std)
    dataset, chosen = sized_clean(clean, size, model, load(options["plugins"]))
    asked = planned({**options, "datasets": dataset, "models": model})
    require_model_detectors(asked.spec.defenses)
    require_usable(model, asked.registry.manager.hook.benchkit_model)
    workspace = workspace_of(asked)
    task = workspace.task(_decoded(asked, options))
    classifier, said = suspect(task, weights, pickled_checkpoint, given)
    said += [chosen] if chosen else []
    known = accuracy(task, classifier)  # before detectors train for minutes
    prepare(asked, means(options))
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
    prepare(replace(asked, plan=Plan({step.key: step}, [step.key])), means(options))
    return replace(step.job, parents={DATA: Ref("data", step.key)})
