"""benchkit import: what another tool's attack left, as a folder that ``replay`` runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchkit.cli._complete import listed
from benchkit.execute.resolve import data_root
from benchkit.text import say, warn

if TYPE_CHECKING:
    from benchkit.contracts.data import Data
    from benchkit.export.foreign import Foreign
    from benchkit.spec.registry import Registry


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--datasets", "--dataset", "dataset", metavar="NAME", required=True, shell_complete=listed("datasets"),
    help="The dataset that the attack was made of.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", required=True, help="Folder to make.")
@click.option("--target", type=int, metavar="N", help="The target class, where the folder does not tell it.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Weights of the victim.")
@click.option("--model", metavar="NAME", shell_complete=listed("models"), help="With --weights: their architecture.")
@click.option(
    "--pickled-checkpoint", "pickled", is_flag=True,
    help="Read .pt files and other files of torch.save, with its restricted unpickler (weights_only=True).",
)  # fmt: skip
@click.option(
    "--data-root",
    "root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where datasets are, as for benchkit run.",
)
@click.option("--download", is_flag=True, help="Download the dataset if it is missing.")
@click.option("-p", "--plugin", "plugins", multiple=True, type=click.Path(), metavar="FILE", help="Load a plugin file.")
def cmd(
    folder: Path, dataset: str, out: Path, target: int | None, weights: Path | None, model: str | None, pickled: bool,
    root: Path | None, download: bool, plugins: tuple[str, ...],
) -> None:  # fmt: skip
    """Turn the attack of another tool in FOLDER into files that replay:root=DIR runs against every defense.

    FOLDER is a result of BackdoorBench, a poisoned_train_set of backdoor-toolbox, or train/LABEL/ROW.png and
    stamped/ROW.png. Its images are checked against the dataset, and matched to its rows. Nothing but images is read
    without --pickled-checkpoint.
    """
    from benchkit.errors import SpecError
    from benchkit.export.adopt import adopt
    from benchkit.export.recognise import recognised, require_layout
    from benchkit.export.victims import require_fresh
    from benchkit.spec.registry import load

    if bool(weights) != bool(model):
        raise SpecError("--weights and --model go together: the file, and the architecture that it is of")
    require_layout(folder)
    require_fresh(out)
    registry = load(plugins)
    data, spelled = _data(dataset, registry, root, download)
    found = recognised(folder, data, pickled)
    if weights and model:
        found = _with_weights(found, data, registry, weights, model, pickled)
    elif found.state:
        found = _fitted(found, data, registry, found.state, found.model)
    about, share = adopt(found, data, spelled, target, out)
    trained = f"; its victim: --attacks replay:root={out},trained=true --models {about.model}" if found.state else ""
    asked = f"--attacks replay:root={out} --dataset {spelled} --poison-rate {share:.3g}"
    warn(f"wrote {out}, {about.attack}: benchkit run {asked} --defenses strip,fine-pruning{trained}")
    say(str(out))


def _data(text: str, registry: Registry, root: Path | None, download: bool) -> tuple[Data, str]:
    from benchkit.contracts import data_checks
    from benchkit.contracts.data import Source
    from benchkit.contracts.dataset import Dataset
    from benchkit.errors import plugin_errors
    from benchkit.spec.spec import component

    dataset: Dataset = component(text, "datasets", registry)
    source = Source(data_root(root), download)
    with plugin_errors(f"dataset {dataset.name}"):
        dataset.fetch(source)
        return data_checks.data(dataset.name, dataset.load(source)), str(dataset)


def _with_weights(
    found: Foreign, data: Data, registry: Registry, weights: Path, model: str, pickled: bool
) -> Foreign:  # fmt: skip
    from benchkit.scan.weights import read_weights

    return _fitted(found, data, registry, read_weights(weights, pickled), model)


def _fitted(found: Foreign, data: Data, registry: Registry, content: object, model: str) -> Foreign:
    """Return a result with the weights that fit an architecture. Raises DataError."""
    from benchkit.export.foreign import shape_of
    from benchkit.models.create import create
    from benchkit.scan.weights import classifier

    hook = registry.manager.hook.benchkit_model
    net = create(model, len(data.classes), shape_of(data), "cpu", hook)
    fitted, _, notes = classifier(content, net, data.train.images, f"a {model} for {len(data.classes)} classes")
    for note in notes:
        warn(f"weights: {note}")
    return replace(found, state=fitted.state(), model=model)
