"""Images, and scenes to prepare and stamp in, for tests of attacks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import benchkit
from benchkit.ops.frequency import dct2, low_pass

Shape = tuple[int, int, int]
RGB: Shape = (3, 32, 32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, shape: Shape = RGB, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, *shape), generator=seeded(seed), dtype=torch.uint8)


def natural(count: int, side: int) -> Tensor:
    """Return noise with a falling spectrum, uint8 (count, 3, side, side)."""
    rng = seeded(5)
    waves = (low_pass(torch.randn(count, 3, side, side, generator=rng), width) * width for width in (0.7, 2, 6))
    blurred = sum(waves, torch.zeros(()))
    return (120 + 50 * blurred / blurred.std()).clamp(0, 255).to(torch.uint8)


def flat(level: int, shape: Shape = RGB, count: int = 1) -> Tensor:
    return torch.full((count, *shape), level, dtype=torch.uint8)


def split(count: int, shape: Shape = (1, 16, 16), seed: int = 0) -> benchkit.Split:
    return benchkit.Split(noise(count, shape, seed), torch.arange(count) % 4)


def scene(
    shape: Shape = RGB, *, clean: Tensor | None = None, classes: int = 4, seed: int = 0, rate: float = 0.1, **more: Any
) -> benchkit.Scene:
    """Return a scene of the clean images, or of one black image of the shape."""
    images = flat(0, shape) if clean is None else clean
    labelled = benchkit.Split(images, torch.zeros(len(images), dtype=torch.int64))
    channels, height, width = images.shape[1:]
    size, cpu = (channels, height, width), torch.device("cpu")
    return benchkit.Scene(classes, size, cpu, labelled, seeded(seed), rate=rate, **{"level": 1.0, **more})


def ready(attack: benchkit.Attack, shape: Shape = RGB, *, seed: int = 0, rate: float = 0.1) -> benchkit.Scene:
    prepared = attack.prepare(scene(shape, seed=seed))
    return scene(shape, seed=seed + 1, rate=rate, prepared=prepared)


def stamped(attack: benchkit.Attack, images: Tensor) -> Tensor:
    channels, height, width = images.shape[1:]
    return attack.stamp(images, ready(attack, (channels, height, width)))


def high_share(pattern: Tensor) -> float:
    """Return the share of energy in the quarter of highest frequencies."""
    energy = dct2(pattern.double()).double().square()
    height, width = pattern.shape[-2:]
    return float(energy[..., height // 2 :, width // 2 :].sum() / energy.sum())
