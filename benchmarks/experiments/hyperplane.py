"""How far from a clean image do low-pass triggers lie in a detector? (Zeng et al., ICCV 2021, Section 5.4, Figure 4).

The paper's reason for upgrading its detector with smooth triggers rather than with any filtered ones: of all of
them the smooth trigger comes closest to a representative clean image in what the last layer is given. This
trains a clean model, searches the smooth trigger on it (Algorithm 1), draws seven filtered ones, stamps the test
images with each, and measures in the raw detector and in the upgraded one (``smooth_aug=dome``):

    python benchmarks/experiments/hyperplane.py --dataset image-folder:root=DATA --plot

The representative image is the clean test image whose features, the input of the last layer, are nearest to the
weight vector of its clean class. With ``--logits`` it is the one whose two logits are nearest to the mean of all
clean ones. Two rows are no triggers: the clean images, and the same rescaled by least and largest value, which
every trigger here is put in by. Columns of the CSV:

    detector, space    raw or upgraded; features or logits
    trigger            as in ``benchkit run --attacks``
    distance           mean Euclidean distance of the stamped images to the representative image
    beyond_smooth      that minus the smooth trigger's, image by image; negative: closer than smooth
    error              standard error of beyond_smooth
    auroc              of the detector on the stamped images
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import _common as common
import click
import torch
from torch import Tensor, nn

from benchkit import Data, Split
from benchkit.execute.resolve import data_root
from benchkit.measure.rates import detection
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.protocol import generator
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import component, recipe
from benchkit.training.trainer import Trainer

if TYPE_CHECKING:
    from benchkit import InputDetector, Scene

SMOOTH, CLEAN, CONTROL = "smooth", "(clean images)", "(min-max only)"
FILTERED = (
    *(f"filtered:variant={number}" for number in range(4)),
    *(f"filtered:base=picture,variant={number}" for number in range(3)),
)
DETECTORS = {"raw": "none", "upgraded": "dome"}


class Seen(NamedTuple):
    """A detector's last layer at work: its input (N, F), its output (N, 2), and its weights (2, F)."""

    features: Tensor
    logits: Tensor
    weight: Tensor


def seen(detector: InputDetector, images: Tensor, scene: Scene) -> Seen:
    """Score images (N, C, H, W) and return what the last linear layer was given and what it answered."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> None:
        if isinstance(module, nn.Linear):
            found.append((given[0].float(), answer.float(), module.weight.detach()))

    handle = nn.modules.module.register_module_forward_hook(note)  # the plugin does not hand out its network
    try:
        detector.score(images, scene)
    finally:
        handle.remove()
    return Seen(torch.cat([one[0] for one in found]), torch.cat([one[1] for one in found]), found[-1][2])


def reference(clean: Seen, logits: bool) -> Tensor:
    """Return where the representative clean image lies: (F,), or (2,) in the space of logits."""
    space, centre = (clean.logits, clean.logits.mean(0)) if logits else (clean.features, clean.weight[0])
    return space[(space - centre).norm(dim=1).argmin()]


def measured(
    detector: InputDetector, scene: Scene, stamped: dict[str, Tensor], logits: bool
) -> list[dict[str, float | str]]:
    """Return a row for each set of images; ``stamped`` has those of SMOOTH and CLEAN among them, in equal order."""
    views = {name: seen(detector, images, scene) for name, images in stamped.items()}
    at = reference(views[CLEAN], logits)
    distances = {
        name: ((view.logits if logits else view.features) - at).norm(dim=1).double() for name, view in views.items()
    }
    scores = {name: (view.logits[:, 1] - view.logits[:, 0]).double() for name, view in views.items()}
    rows: list[dict[str, float | str]] = []
    for name, distance in distances.items():
        gap = distance - distances[SMOOTH]
        rows.append({
            "trigger": name,
            "distance": distance.mean().item(),
            "beyond_smooth": gap.mean().item(),
            "error": (gap.std() / len(gap) ** 0.5).item(),
            "auroc": detection(scores[CLEAN], scores[name], 0.0)["auroc"],
        })  # fmt: skip
    return rows


def clean_model(data: Data, model: str, how: str, seed: int, registry: Registry) -> Classifier:
    """Train a clean model with the benchmark's recipe."""
    channels, height, width = data.train.images.shape[1:]
    hook = registry.manager.hook.benchkit_model
    cpu = torch.device("cpu")
    build = partial(create, model, len(data.classes), (channels, height, width), cpu, hook)
    return Trainer(recipe(how), build, cpu).fit(data.train, rng=generator(seed, "train"))


def stamps(data: Data, test: Tensor, model: Classifier, seed: int, registry: Registry) -> dict[str, Tensor]:
    """Return the test images as they are, rescaled, with the smooth trigger, and with each filtered one."""
    made = {CLEAN: test}
    for text in (SMOOTH, *FILTERED):
        attack = component(text, "attacks", registry)
        scene = partial(common.scene_of, data.train, len(data.classes), seed)
        prepared = attack.prepare(scene("craft", granted=model))
        if text == SMOOTH:
            made[CONTROL] = attack.control(test, scene("stamp", prepared=prepared))
            share = 100 * float(prepared["fooling"])
            click.echo(f"smooth changes {share:.0f} % of the clean model's predictions", err=True)
        made[text] = attack.stamp(test, scene("stamp", prepared=prepared))
    return made


def verdict(rows: list[common.Row]) -> str:
    """Say of one detector's rows whether smooth is closest, and how surely."""
    rivals = [row for row in rows if row["trigger"] in FILTERED]
    nearest = min(rivals, key=lambda row: row["distance"])
    smooth = next(row for row in rows if row["trigger"] == SMOOTH)
    word = "closest" if nearest["beyond_smooth"] > 0 else "not closest"
    sigmas = abs(nearest["beyond_smooth"]) / max(nearest["error"], 1e-12)
    return (
        f"{rows[0]['detector']} detector: smooth is {word} ({smooth['distance']:.4g}; the nearest filtered trigger,"
        f" {nearest['trigger']}, {nearest['distance']:.4g}; {sigmas:.1f} standard errors apart)"
    )


def draw(rows: list[common.Row], out: Path) -> None:
    """Draw the distances as bars, a panel for each detector."""
    names = list(dict.fromkeys(row["detector"] for row in rows))
    made = common.figure(5 * len(names), 3.6)
    for panel, name in zip(made.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        chosen = [row for row in rows if row["detector"] == name]
        colours = ["tab:red" if row["trigger"] == SMOOTH else "tab:grey" for row in chosen]
        panel.barh([row["trigger"] for row in chosen], [row["distance"] for row in chosen], color=colours)
        panel.invert_yaxis()
        panel.set(title=name, xlabel=f"mean distance ({chosen[0]['space']})")
    common.save(made, out)


def learned(detector: InputDetector, train: Split, classes: int, seed: int) -> Scene:
    """Train a detector on clean images; return the scene it scores in."""
    prepared = detector.prepare(common.scene_of(train, classes, seed, "prepare"))
    return common.scene_of(train, classes, seed, "score", prepared=prepared)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dataset", default="scenes", show_default=True, help="As in benchkit run.")
@click.option("--model", default="narrownet", show_default=True, help="Network the smooth trigger is searched on.")
@click.option("--recipe", "how", default="fast", show_default=True, help="How it is trained.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Rounds of the detector.")
@click.option("--test", default=1000, show_default=True, type=click.IntRange(2), help="Test images.")
@click.option("--logits", is_flag=True, help="Measure between pairs of logits.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--out", default="hyperplane.csv", show_default=True, type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="Draw a PNG beside the CSV.")
def main(
    dataset: str, model: str, how: str, rounds: int, test: int, logits: bool, seed: int, out: Path, plot: bool
) -> None:
    """Distances of low-pass triggers to a representative clean image."""
    common.check_outputs(out, plot)
    registry = load()
    data = common.loaded(component(dataset, "datasets", registry), data_root(None))
    images = common.some(data.test, test, seed, "test").images
    stamped = stamps(data, images, clean_model(data, model, how, seed, registry), seed, registry)
    rows: list[common.Row] = []
    for name, aug in DETECTORS.items():
        detector = component(f"freq-detector:rounds={rounds},smooth_aug={aug}", "defenses", registry)
        scene = learned(detector, data.train, len(data.classes), seed)
        said = {"detector": name, "space": "logits" if logits else "features", "seed": seed}
        rows += [{**said, **row} for row in measured(detector, scene, stamped, logits)]
        click.echo(f"{name} detector trained and measured", err=True)
    common.finish(rows, out)
    for name in DETECTORS:
        click.echo(verdict([row for row in rows if row["detector"] == name]))
    if plot:
        draw(rows, out)


if __name__ == "__main__":
    common.run(main)
