"""The model to scan: foreign weights as a classifier with the normalisation of its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchkit.errors import SpecError
from benchkit.scan.inputs import Inputs, timm_inputs
from benchkit.scan.weights import classifier, read_weights

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier
    from benchkit.stages.workspace import Task


def suspect(task: Task, path: Path, pickled: bool, given: Inputs | None = None) -> tuple[Classifier, list[str]]:
    """Return the classifier in a file, and sentences on how it was read.

    Args:
        given: the normalisation that the user named.

    Raises:
        DataError, SpecError: if the file, the architecture and the clean dataset do not match.
    """
    found = read_weights(path, pickled)
    clean = task.data.train.images
    sides = "x".join(map(str, clean.shape[1:]))
    what = f"{task.job.model} for {len(task.data.classes)} classes of {sides} images, as in {task.job.dataset}"
    used = given or timm_inputs(task.job.model, task.registry.manager.hook.benchkit_model)
    if given and len(given.mean) != task.shape[0]:
        raise SpecError(f"--mean and --std must be {task.shape[0]} numbers for these images, got {len(given.mean)}")
    used = used if used and len(used.mean) == task.shape[0] else None
    normal = (torch.tensor(used.mean), torch.tensor(used.std)) if used else None
    model, missing, said = classifier(found, task.network(), clean, what, normal)
    if given and not missing:
        raise SpecError("these weights contain their own normalisation: leave --mean and --std out")
    return model, [*said, *([_normalised(used, task.job.dataset)] if missing and not given else [])]


def _normalised(used: Inputs | None, dataset: str) -> str:
    source = f"those of {used.source} ({used.said()})" if used else f"mean and standard deviation of {dataset}"
    return (
        f"the weights contain no normalisation: {source} are used, and every score is wrong if the model was trained "
        "with others; --mean and --std name them"
    )
