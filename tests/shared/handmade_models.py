"""Models made by hand, whose backdoor is a shift of their logits, and meta neural analysis set up for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from benchkit_plugins.defenses.mna.mna import Mna
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene
from benchkit.models.classifier import Classifier

CPU = torch.device("cpu")
CLASSES, SHAPE = 4, (3, 8, 8)
Maker = Callable[[int, bool], Classifier]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(seed: int, *, shift: float = 0.0, scale: float = 1.0, dropout: bool = False) -> Classifier:
    """Return a model whose logits are a common linear map of the image, some noise, and a shift of class 0's."""
    inside = SHAPE[0] * SHAPE[1] * SHAPE[2]
    head = nn.Linear(inside, CLASSES)
    base = torch.randn(CLASSES, inside, generator=seeded(10_000))
    noise = torch.randn(CLASSES, inside, generator=seeded(seed))
    with torch.no_grad():
        head.weight.copy_(scale * (base + 0.3 * noise) / inside**0.5)
        head.bias.copy_(torch.tensor([shift, 0.0, 0.0, 0.0]))
    layers = [nn.Flatten(), *([nn.Dropout(0.5)] if dropout else []), head]
    return Classifier(nn.Sequential(*layers), torch.full((3,), 0.5), torch.full((3,), 0.25))


def shifted(seed: int, backdoored: bool) -> Classifier:
    return linear(seed, shift=2.0 if backdoored else 0.0)


def faint(seed: int, backdoored: bool) -> Classifier:
    return linear(seed, scale=0.2 if backdoored else 1.0)


def shadows(make: Maker, count: int = 64) -> list[Classifier]:
    return [make(number, bool(number % 2)) for number in range(count)]


def scene(models: list[Classifier] | None = None, seed: int = 0) -> Scene:
    images = torch.randint(0, 256, (40, *SHAPE), generator=seeded(1), dtype=torch.uint8)
    return Scene(CLASSES, SHAPE, CPU, Split(images, torch.arange(40) % CLASSES), seeded(seed), shadows=models or [])


def mna(**settings: Any) -> Mna:
    return Mna(**{"folds": 1, "repeats": 2, "queries": 4, "hidden": 8, "lr": 0.01, "logits": "raw", **settings})


def scores(defense: Mna, prepared: dict[str, Tensor], models: list[Classifier]) -> Tensor:
    where = dataclasses.replace(scene(), prepared=prepared)
    return torch.tensor([defense.score(dataclasses.replace(where, granted=model)) for model in models])


def auc(defense: Mna, prepared: dict[str, Tensor], make: Maker) -> float:
    """Return the AUC over 60 models that are no shadows."""
    values = scores(defense, prepared, [make(1000 + number, bool(number % 2)) for number in range(60)])
    benign, bad = values[0::2], values[1::2]
    return float(((bad[:, None] > benign).float() + 0.5 * (bad[:, None] == benign).float()).mean())
