"""A victim of the embedded set: a slimmer network and a shorter recipe, against ``narrownet`` with ``fast``.

Both train in turn on what the benign victim of seed 0 trains on, in one process. Beside it is what the same training
takes in units of a fixed loop of matrix products, which tells one machine from another.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from _perf import Figure, bounded, faster, turns

from benchkit import Data, Source, Split
from benchkit.execute.resolve import CPU_DEFAULTS
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.protocol import generator, victim_rows
from benchkit.spec.registry import load
from benchkit.spec.spec import recipe
from benchkit.training.trainer import Trainer

SIDE, PRODUCTS = 512, 7500
"""The loop: 2 TFLOP in float32."""


def trained(data: Data, model: str, how: str, most: int) -> Classifier:
    """Train one victim, on at most so many images."""
    train = data.train[victim_rows(data.train.labels, 0)[:most]]
    cpu, shape = torch.device("cpu"), train.images.shape[1:]
    build = functools.partial(create, model, len(data.classes), (shape[0], shape[1], shape[2]), cpu)
    return Trainer(recipe(how), build, cpu).fit(train, rng=generator(0, "attacker", "train"))


def multiplied(times: int) -> None:
    """Multiply two matrices so many times."""
    one, product = torch.ones(2, SIDE, SIDE)
    for _ in range(times):
        torch.mm(one, one, out=product)


def figures(quick: bool) -> list[Figure]:
    """Measure the slim victim of the embedded set."""
    (dataset,) = (entry.cls() for entry in load().datasets.values() if entry.cls.embedded)
    data = dataset.load(Source(Path()))
    usual = (CPU_DEFAULTS["models"], "fast:epochs=1" if quick else CPU_DEFAULTS["recipe"])
    own = ("slimnet", "fast:epochs=1" if quick else "fast:lr=0.2,budget=45000")
    made: dict[str, Classifier] = {}

    def train(model: str, how: str) -> None:
        made[model] = trained(data, model, how, 20 if quick else len(data.train))

    loop = functools.partial(multiplied, 10 if quick else PRODUCTS)
    works = {"own": functools.partial(train, *own), "usual": functools.partial(train, *usual), "loop": loop}
    taken = turns(works, 1 if quick else 3)
    test = data.test[: 50 if quick else len(data.test)]
    told = {name: f"{name}, {how}, C-Acc {accuracy(made[name], test):.1%}" for name, how in (own, usual)}
    return [
        faster(told[own[0]], taken["own"], told[usual[0]], taken["usual"], 2.5),
        bounded(told[own[0]], taken["own"], "2 TFLOP of products", taken["loop"], scale=1, unit="s", most=9),
    ]


def accuracy(model: Classifier, test: Split) -> float:
    """Return the share of test images that the model classifies correctly."""
    return float((model.logits(test.images).argmax(1) == test.labels).double().mean())
