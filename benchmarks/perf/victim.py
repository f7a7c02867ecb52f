"""Training a victim, against the bare loop on synthetic batches that are on the device already.

On a GPU it is the field's network as well. The bare loop has the same network, batch size, number format and loss, and
as many steps. Once it ends with the gradients; once the same optimizer steps as well, so that the difference is what
benchkit itself adds. What a training does once (whitening filters, statistics) is in it; a default victim sees at
least three times as many images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _perf import Figure, faster, split, turns
from torch import Tensor

from benchkit.models.classifier import Classifier, compute_dtype
from benchkit.models.create import create
from benchkit.training.optimizers import OPTIMIZERS, Update
from benchkit.training.recipes import Fast, Recipe, Standard
from benchkit.training.trainer import Trainer


def bare(model: Classifier, batches: list[tuple[Tensor, Tensor]], step: Update | None) -> None:
    """Run forward and backward over batches that are normalised, channels last, on the device."""
    net, dtype = model.net, compute_dtype(model.mean.device)
    model.train()
    for images, labels in batches:
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            logits = net(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.2)
        net.zero_grad(set_to_none=True)
        loss.backward()
        if step is not None:
            step(0.5)


def figures(quick: bool) -> list[Figure]:
    """Measure the default net with the default recipe; on a GPU also what is the default there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = compared("narrownet", Fast(epochs=1), device, 250 if quick else 20_000, 1 if quick else 5)
    if device.type == "cuda":
        found += compared("preactresnet18", Standard(epochs=1), device, 500 if quick else 50_000, 1 if quick else 3)
    return found


def compared(network: str, recipe: Recipe, device: torch.device, count: int, repetitions: int) -> list[Figure]:
    """Measure one network with one recipe on so many images."""
    data = split(count).to(device)
    build = functools.partial(create, network, 10, (3, 32, 32), device)
    trainer = Trainer(recipe, build, device)
    model, fixed = trainer.fresh(data)
    for weight in fixed:
        weight.requires_grad = False
    step = OPTIMIZERS[recipe.optimizer](model, recipe.lr, **recipe.tuning())
    rows = torch.arange(count, device=device).tensor_split(round(count / recipe.batch_for(count)))
    batches = [(model.normalised(data.images[part]), data.labels[part]) for part in rows]

    def finished(work: Callable[[], object]) -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    works: dict[str, Callable[[], object]] = {
        "ours": functools.partial(trainer.fit, data, rng=torch.Generator().manual_seed(0)),
        "stepped": functools.partial(bare, model, batches, step),
        "bare": functools.partial(bare, model, batches, None),
    }
    taken = turns({name: functools.partial(finished, work) for name, work in works.items()}, repetitions)
    what = f"{network}, {count / taken['ours'].middle():,.0f} images/s of Trainer.fit"
    return [
        faster(what, taken["ours"], "bare loop with the same optimizer", taken["stepped"], 0.9),
        faster(what, taken["ours"], "bare forward and backward alone", taken["bare"], 0.9),
    ]
