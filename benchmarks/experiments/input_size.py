"""Are triggers in large images linearly separable? (Zeng et al., ICCV 2021, Section 4).

The paper takes a linear detector instead of the six-layer network for images wider than 160 pixels, since
triggers there are "more easily linearly separable", and says no more. This trains detectors of each kind on
equally many clean images and manipulated copies at every size, and shows them triggers they have not seen:

    python benchmarks/experiments/input_size.py --plot

Without ``--images FOLDER`` (train/CLASS/*, test/CLASS/*, or CLASS/*, photographs no smaller than the largest
size) the images are drawn at each size with the amplitude spectrum of photographs, 1/f, colour and contrast of
their own, sensor noise of one grey level, and rounding to 8 bits. Columns of the CSV:

    size, features     side in pixels, and numbers that the detector sees of an image
    arch, feature      of the freq-detector
    attack             the trigger; control:minmax has none and is only rescaled, as smooth triggers are
    auroc              over as many clean as triggered test images
    bdr_at_5fpr        share of triggered images found where 5 % of the clean test images are flagged
    seconds            that training took
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _common as common
import click
import torch
from benchkit_plugins.defenses.freq_detector.bands import band_shape
from torch import Tensor

from benchkit import Data, Split
from benchkit.contracts.verdict import plain
from benchkit.execute.resolve import data_root
from benchkit.measure.rates import detection
from benchkit.ops.frequency import idct2
from benchkit.params.grammar import quoted
from benchkit.protocol import generator
from benchkit.spec.registry import Registry, load
from benchkit.spec.spec import component

if TYPE_CHECKING:
    from benchkit import InputDetector

Stamp = Callable[[Tensor], Tensor]
ARCHS, FEATURES = ("linear", "svm", "cnn6"), ("dct-bands", "dct", "dct-log", "image")
CONTRAST = 450.0
"""Standard deviation of the DCT coefficients at f = 1 of an image of 32 pixels and mean contrast."""


def photographs(count: int, side: int, rng: torch.Generator) -> Tensor:
    """Return synthetic photographs, uint8 (count, 3, side, side).

    Texture is Gaussian with amplitude 1/f, f in half cycles per image, weaker near the resolution's end as
    lenses and Bayer filters make it; most of it is shared by the three channels.
    """
    at = torch.arange(side, dtype=torch.float32)
    f = torch.hypot(at[:, None], at[None])
    falloff = torch.exp(-((f / side) ** 2)) / f.clamp(min=1)
    falloff[0, 0] = 0
    out = torch.empty(count, 3, side, side, dtype=torch.uint8)
    for start in range(0, count, 64):
        part = out[start : start + 64]
        part.copy_(_photographs(len(part), CONTRAST * side / 32 * falloff, rng))
    return out


def _photographs(count: int, amplitude: Tensor, rng: torch.Generator) -> Tensor:
    side = len(amplitude)
    own = torch.randn(count, 3, side, side, generator=rng)
    shared = torch.randn(count, 1, side, side, generator=rng)
    contrast = 0.4 + 1.2 * torch.rand(count, 1, 1, 1, generator=rng)
    colour = 60 + 130 * torch.rand(count, 1, 1, 1, generator=rng) + 20 * torch.randn(count, 3, 1, 1, generator=rng)
    texture = idct2((0.95 * shared + 0.3 * own) * amplitude)
    noise = torch.randn(count, 3, side, side, generator=rng)
    levels: Tensor = colour + contrast * texture + noise
    return levels.clamp(0, 255).round().to(torch.uint8)


def triggers(side: int, clean: Split, seed: int, registry: Registry) -> dict[str, Stamp]:
    """Return a stamp for each trigger at this size; a patch grows with the image except where it says pixels."""
    specs = {
        "badnets": f"badnets:size={side // 8},margin={max(1, side // 32)}",
        "badnets, 4 pixels": "badnets:size=4",
        "troj-sq, random": "troj-sq:source=random",
        "blend": "blend",
        "nature": "nature",
        "control:minmax": "control:minmax=true",
    }
    stamps: dict[str, Stamp] = {}
    for label, text in specs.items():
        attack = component(text, "attacks", registry)
        prepared = attack.prepare(common.scene_of(clean, 2, seed, "craft"))
        scene = common.scene_of(clean, 2, seed, "stamp", prepared=prepared)
        stamps[label] = partial(attack.stamp, scene=scene)
    return stamps


def judged(detector: InputDetector, train: Split, test: Split, stamps: dict[str, Stamp], seed: int) -> Iterator[Any]:
    """Train a detector; yield each trigger's name, its metrics, and the seconds of the training."""
    began = time.perf_counter()
    learned = detector.prepare(common.scene_of(train, 2, seed, "prepare"))
    seconds = time.perf_counter() - began
    scene = common.scene_of(train, 2, seed, "score", prepared=learned)
    clean = plain(detector.score(test.images, scene)).double()
    for label, stamp in stamps.items():
        triggered = plain(detector.score(stamp(test.images), scene)).double()
        yield label, detection(clean, triggered, 0.0), seconds


def images_at(side: int, folder: Path | None, counts: tuple[int, int], seed: int, registry: Registry) -> Data:
    """Return training and test images of one size, from a folder or drawn."""
    if folder is None:
        parts = [photographs(n, side, generator(seed, "images", name)) for n, name in zip(counts, "ab", strict=True)]
        made = [Split(images, torch.zeros(len(images), dtype=torch.int64)) for images in parts]
        return Data(made[0], made[1], ("photograph",))
    dataset = component(f"image-folder:root={quoted(str(folder))},size={side}", "datasets", registry)
    data = common.loaded(dataset, data_root(None))
    train, test = common.some(data.train, counts[0], seed, "train"), common.some(data.test, counts[1], seed, "test")
    return Data(train, test, data.classes)


def numbers(feature: str, side: int) -> int:
    """Return how many numbers a feature has of an RGB image."""
    return math.prod(band_shape((3, side, side))) if feature == "dct-bands" else 3 * side * side


def at_size(side: int, data: Data, options: dict[str, Any], registry: Registry) -> Iterator[common.Row]:
    """Yield the rows of one size."""
    seed = options["seed"]
    stamps = triggers(side, data.train, seed, registry)
    for arch in options["archs"]:
        if arch == "cnn6" and side > options["cnn_up_to"]:
            continue
        for feature in options["features"]:
            if (arch, feature) == ("cnn6", "dct-bands"):
                continue
            text = f"freq-detector:arch={arch},feature={feature},epochs={options['epochs']}"
            detector = component(text, "defenses", registry)
            for label, rates, seconds in judged(detector, data.train, data.test, stamps, seed):
                yield {
                    "size": side, "features": numbers(feature, side), "arch": arch, "feature": feature, "attack": label,
                    "auroc": rates["auroc"], "bdr_at_5fpr": rates["tpr_at_5fpr"], "seconds": seconds, "seed": seed,
                }  # fmt: skip
            click.echo(f"{side} pixels, {arch} on {feature}: {seconds:.1f} s", err=True)


def draw(rows: list[common.Row], out: Path) -> None:
    """Draw AUROC over size: a panel for each trigger, a line for each detector."""
    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    lines = list(dict.fromkeys((row["arch"], row["feature"]) for row in rows))
    made = common.figure(3 * len(attacks), 3.2)
    panels = made.subplots(1, len(attacks), sharey=True, squeeze=False)[0]
    for panel, attack in zip(panels, attacks, strict=True):
        for arch, feature in lines:
            chosen = [row for row in rows if (row["attack"], row["arch"], row["feature"]) == (attack, arch, feature)]
            points = [row["size"] for row in chosen], [row["auroc"] for row in chosen]
            panel.plot(*points, marker="o", markersize=3, label=f"{arch}, {feature}")
        panel.axvline(160, color="grey", linewidth=0.5)
        panel.set(title=attack, xlabel="side (pixels)")
    panels[0].set_ylabel("AUROC")
    panels[-1].legend(fontsize=6)
    common.save(made, out)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--sizes", default="32,64,96,128,160,224", show_default=True, callback=common.numbers)
@click.option("--archs", default="linear,svm,cnn6", show_default=True, callback=common.words(ARCHS))
@click.option("--features", default="dct-bands,dct,dct-log,image", show_default=True, callback=common.words(FEATURES))
@click.option("--cnn-up-to", default=64, show_default=True, help="Largest size that cnn6 is trained at.")
@click.option("--images", type=click.Path(path_type=Path), help="Folder of photographs.  [default: drawn ones]")
@click.option("--train", default=600, show_default=True, type=click.IntRange(10), help="Training images.")
@click.option("--test", default=300, show_default=True, type=click.IntRange(2), help="Test images.")
@click.option("--epochs", default=0, type=click.IntRange(0), help="Passes in each of 5 rounds.  [default: its own]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--out", default="input_size.csv", show_default=True, type=click.Path(path_type=Path))
@click.option("--plot", is_flag=True, help="Draw a PNG beside the CSV.")
def main(images: Path | None, train: int, test: int, out: Path, plot: bool, **options: Any) -> None:
    """AUROC of linear detectors and of the network over the size of images."""
    common.check_outputs(out, plot)
    if min(options["sizes"]) < 16:
        raise click.BadParameter("triggers need images of 16 pixels or more", param_hint="--sizes")
    registry = load()
    rows: list[common.Row] = []
    for side in options["sizes"]:
        data = images_at(side, images, (train, test), options["seed"], registry)
        rows += at_size(side, data, options, registry)
    common.finish(rows, out)
    if plot:
        draw(rows, out)


if __name__ == "__main__":
    common.run(main)
