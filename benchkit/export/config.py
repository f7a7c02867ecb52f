"""The file ``config.json`` beside an exported victim: what it is, and what its attack wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.attack import Attack
    from benchkit.export.victim import Victim


def config_of(
    victim: Victim, state: Mapping[str, Tensor], info: Mapping[str, Any], prepared: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return the content of ``config.json``.

    Args:
        state: the weights; ``mean`` and ``std`` are float32 (C,), of images in [0, 1].
        info: the metadata of the decoded dataset: class names, and the shape (C, H, W) of an image.
        prepared: what the attack prepared, drew and learned.
    """
    from benchkit import __version__

    attack = victim.attack
    wanted = _wanted(attack, victim.poison_rate, len(info["classes"]), info["shape"], prepared)
    return {
        "library": "benchkit",
        "benchkit_version": __version__,
        "architecture": victim.model,
        "num_classes": len(info["classes"]),
        "classes": list(info["classes"]),
        "input_shape": list(info["shape"]),
        "mean": [round(float(value), 6) for value in state["mean"]],
        "std": [round(float(value), 6) for value in state["std"]],
        "dataset": str(victim.dataset),
        "recipe": str(victim.recipe),
        "attack": {
            "spec": str(attack),
            "name": attack.name,
            "paper": attack.paper,
            "benign": attack.benign,
            "access": attack.access,
            "label_policy": attack.label_policy,
            "target": wanted[0] if len(set(wanted)) == 1 else None,
            "targets": wanted,
            "params": attack.params(),
        },
        "poison_rate": victim.poison_rate,
        "seed": victim.seed,
        "victim_key": victim.key,
    }


def _wanted(
    attack: Attack, rate: float, classes: int, shape: Sequence[int], prepared: Mapping[str, Tensor]
) -> list[int]:
    """Return the target label of triggered images for each class; nothing without an attack."""
    import torch

    if attack.benign:
        return []
    labels, cpu = torch.arange(classes), torch.device("cpu")
    none = Split(torch.zeros(0, *shape, dtype=torch.uint8), labels[:0])
    channels, height, width = shape
    rng = torch.Generator().manual_seed(0)
    scene = Scene(classes, (channels, height, width), cpu, none, rng, prepared, rate)
    return [int(label) for label in attack.target_labels(labels, scene)]
