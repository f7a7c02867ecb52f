"""What other tools keep in files of ``torch.save``, read with ``weights_only=True`` and only on request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from benchkit.errors import DataError
from benchkit.export.foreign import UNKNOWN, Batch, Foreign, Shape
from benchkit.ops.attackfiles import COVER, POISON, UNCHANGED
from benchkit.scan.weights import read_weights

RESULT = "attack_result.pt"
RENAMED = (
    (r"^conv1\.", "stem."),
    (r"^layer(\d)\.(\d+)\.", lambda found: f"stages.{int(found[1]) - 1}.{found[2]}."),
    (r"\.shortcut\.0\.", ".shortcut."),
    (r"^linear\.", "fc."),
)
"""How the layers of BackdoorBench's PreActResNet18 are called in that of benchkit; the networks are the same."""
NETWORKS = {"preactresnet18": "preactresnet18"}
SCALES = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "tiny": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    "gtsrb": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "celeba": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation of the inputs of BackdoorBench's networks, by its name of the dataset."""


def told(folder: Path, batches: list[Batch], pickled: bool) -> Foreign:
    """Return a result of BackdoorBench; with ``pickled``, its labels and its victim come from ``attack_result.pt``."""
    if not pickled:
        return Foreign("BackdoorBench", tuple(batches))
    found = read_weights(folder / RESULT, pickled=True)
    if not isinstance(found, Mapping) or not isinstance(found.get("model"), Mapping):
        raise DataError(f"{folder / RESULT} is no result of an attack of BackdoorBench: leave --pickled-checkpoint out")
    parts = (found.get("bd_train"), found.get("bd_test"))
    labelled = tuple(_labelled(batch, part) for batch, part in zip(batches, parts, strict=True))
    model = NETWORKS.get(str(found.get("model_name")), "")
    state = _renamed(found["model"], str(found.get("clean_data"))) if model else None
    return Foreign("BackdoorBench", labelled, state, model)


def _labelled(batch: Batch, part: Any) -> Batch:
    """Return images with the labels that the result keeps for them: those behind the path of each."""
    try:
        entries = part["bd_data_container"]["data_dict"].values()
        labels = {int(PurePosixPath(one["path"]).stem): one["other_info"][0] for one in entries}
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        return batch
    known = [labels.get(row, UNKNOWN) for row in batch.rows.tolist()]
    whole = [one if type(one) is int else UNKNOWN for one in known]
    return replace(batch, labels=torch.tensor(whole, dtype=torch.int64))


def _renamed(state: Mapping[str, Any], dataset: str) -> dict[str, Tensor]:
    """Return a state dict under benchkit's names, with the scale of its inputs where that is known."""
    found = {}
    for name, value in state.items():
        ours = str(name).removeprefix("module.")
        for old, new in RENAMED:
            ours = re.sub(old, new, ours)
        found[f"net.{ours}"] = value
    scale = dict(zip(("mean", "std"), map(torch.tensor, SCALES.get(dataset, ())), strict=False))
    return {**found, **scale}


def toolbox(folder: Path, shape: Shape, pickled: bool) -> list[Batch]:
    """Return the training set of backdoor-toolbox: ``imgs``, ``labels``, ``poison_indices``, maybe ``cover_indices``.

    Raises:
        DataError: in one sentence.
    """
    if not pickled:
        raise DataError(f"{folder / 'imgs'} is a file of torch.save: add --pickled-checkpoint if you trust its source")
    names = ["imgs", "labels", "poison_indices"]
    images, labels, poisons = (read_weights(folder / name, pickled=True) for name in names)
    covers = read_weights(folder / "cover_indices", pickled=True) if (folder / "cover_indices").exists() else []
    _require_tensors(folder, images, labels, shape)
    count = len(labels)
    roles = torch.zeros(count, dtype=torch.int64)
    for number, rows in enumerate((poisons, covers), 1):
        roles[_indices(folder, rows, count)] = number
    pixels = (255 * images).round().clamp(0, 255).to(torch.uint8)
    every, unknown = torch.arange(count), torch.full((count,), UNKNOWN)
    masks = {role: roles == number for number, role in enumerate((UNCHANGED, POISON, COVER))}
    return [
        Batch(role, every[mask], labels[mask].clone(), unknown[mask], pixels[mask])
        for role, mask in masks.items()
        if mask.any()
    ]


def _require_tensors(folder: Path, images: Any, labels: Any, shape: Shape) -> None:
    tensors = isinstance(images, Tensor) and isinstance(labels, Tensor)
    if not (tensors and images.is_floating_point() and images.ndim == 4 and labels.dtype == torch.int64):
        raise DataError(f"{folder} must hold imgs, floats (N, C, H, W), and labels, int64 (N,), as tensors")
    if tuple(images.shape[1:]) != shape or labels.shape != (len(images),):
        theirs, ours = ("x".join(map(str, one)) for one in (images.shape[1:], shape))
        raise DataError(f"{folder} has {len(images)} images of {theirs} and {len(labels)} labels; the dataset: {ours}")
    if not (images.isfinite().all() and images.min() >= 0 and images.max() <= 1):
        raise DataError(f"{folder / 'imgs'} must hold numbers from 0 to 1: save the images before normalisation")


def _indices(folder: Path, rows: Any, count: int) -> list[int]:
    found = rows.tolist() if isinstance(rows, Tensor) else rows
    if not isinstance(found, list) or not all(type(row) is int and 0 <= row < count for row in found):
        raise DataError(f"{folder}: poison_indices and cover_indices must be lists of rows from 0 to {count - 1}")
    return found
