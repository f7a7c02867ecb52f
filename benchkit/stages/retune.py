"""Retuning: a few poisons bring a backdoor back that a repair only hid, and not one that it removed.

Min et al., NeurIPS 2024, Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor Defense.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from benchkit.contracts import checks
from benchkit.contracts.data import Split
from benchkit.contracts.steering import Fit
from benchkit.measure.truth import Retuning
from benchkit.models.classifier import Classifier
from benchkit.plan.job import BENIGN, RETUNE
from benchkit.protocol import RESERVE, RETUNE_EPOCHS, RETUNE_POISONS, generator, holdout_rows
from benchkit.stages.scenes import attacker, triggered
from benchkit.stages.workspace import Result, Task


def make_retune(task: Task) -> Result:
    """Draw the poisons, and ask the benign victim, retuned with them, about the triggered test images."""
    poisons = _poisons(task)
    benign = _retuned(task, task.model(BENIGN), poisons)
    asked = benign.logits(triggered(task).images).argmax(1)
    return {"images": poisons.images, "labels": poisons.labels, "benign": asked}, {"poisons": len(poisons)}


def retuning(task: Task) -> Retuning | None:
    """Return how to retune what a repair returns, or None where nobody asked for it."""
    if not task.has(RETUNE):
        return None
    found = task.load(RETUNE)
    poisons = Split(found["images"], found["labels"])
    return Retuning(lambda model: _retuned(task, model, poisons), found["benign"])


def _poisons(task: Task) -> Split:
    """Return some poisons of the victim's training set, or all if it has fewer."""
    attack, poisoned = task.attack, task.poisoned
    rows = poisoned.mask.nonzero().squeeze(1)
    order = torch.randperm(len(rows), generator=generator(task.job.seed, "retune", "poisons"))
    rows = rows[order[:RETUNE_POISONS].to(rows.device)]
    if not attack.learns:
        return poisoned.data[rows]
    # The training learned another trigger than that which the set was poisoned with.
    clean, scene = task.victim_train.images[rows], replace(attacker(task, "stamp", "retune"), level=1.0)
    stamped = checks.images(attack.name, "stamp", clean, attack.stamp(clean.clone(), scene))
    return Split(stamped, poisoned.data.labels[rows])


def _retuned(task: Task, model: Classifier, poisons: Split) -> Classifier:
    """Return a model after fine-tuning on the clean images of the reserve and these poisons."""
    train = task.data.train
    clean = train[holdout_rows(train.labels, task.job.seed, RESERVE)]
    mixed = Split(torch.cat([clean.images, poisons.images]), torch.cat([clean.labels, poisons.labels]))
    whole = model.copy().requires_grad_(requires_grad=True)  # a repair may have left parts of it frozen
    rng = generator(task.job.seed, "retune")
    return task.trainer.fit(mixed, Fit(start=whole, epochs=RETUNE_EPOCHS), rng=rng)
