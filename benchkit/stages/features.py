"""The step that asks a victim what it makes of clean, triggered and control images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchkit.contracts.data import Tensors
from benchkit.measure.truth import Stamped
from benchkit.models.classifier import Classifier
from benchkit.ops.gradcam import grad_cam
from benchkit.plan.job import VICTIM
from benchkit.protocol import generator
from benchkit.stages.scenes import tested, triggered
from benchkit.stages.workspace import Result, Task


def make_features(task: Task) -> Result:
    """Keep the features of random test images, clean ones and those with the trigger and its control.

    Control images are those of the triggered ones, in the same order. A benign attack has clean images alone.
    """
    test, stamped, model = tested(task), triggered(task), task.model(VICTIM)
    rng = generator(task.job.seed, "features")
    rows = torch.randperm(len(test), generator=rng)[: task.job.images].to(test.labels.device)
    some = torch.randperm(len(stamped.rows), generator=rng)[: task.job.images].to(test.labels.device)
    kept = {"clean": model.features(test.images[rows]), "labels": test.labels[rows]}
    if not len(some):
        return kept, {"images": len(rows)}
    shown = {"triggered": stamped.images[some], "control": stamped.control[some]}
    kept |= {name: model.features(images) for name, images in shown.items()}
    kept |= {"wanted": stamped.wanted[some]}
    return {**kept, **_example(model, test.images[stamped.rows[some]], stamped, some, kept)}, {"images": len(rows)}


@torch.no_grad()
def _answers(model: Classifier, features: Tensor) -> Tensor:
    """Return the labels that a model predicts from the inputs of its last layer, int64 (N,)."""
    answers: Tensor = model.head(features.to(model.head.weight.dtype)).argmax(1)
    return answers


def _example(model: Classifier, clean: Tensor, stamped: Stamped, some: Tensor, kept: Tensors) -> Tensors:
    """Return an image, clean and triggered, and where the victim sees what it says of each, if it has convolutions."""
    before, after = (_answers(model, kept[name]) for name in ("control", "triggered"))
    turned = ((after == kept["wanted"]) & (before != after)).float()
    # Of images that the trigger turns, one of middling brightness: there is something to see in it.
    at = int(((clean.flatten(1).float().mean(1) - 110).abs() - 1000 * turned).argmin())
    pair = torch.stack([clean[at], stamped.images[some[at]]])
    said = model.logits(pair).argmax(1)
    looks = any(isinstance(module, nn.Conv2d) for module in model.net.modules())
    maps = {"maps": grad_cam(model, pair, said, model.last_conv)} if looks else {}
    return {"pair": pair, "said": said, **maps}
