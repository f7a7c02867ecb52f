"""Natural-looking images, and detectors prepared on them, for tests of the frequency detector."""

from __future__ import annotations

import functools
from typing import Any

import attack_scenes
import torch
from attack_scenes import seeded
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector, FreqFilter
from sklearn.metrics import roc_auc_score
from torch import Tensor

import benchkit
from benchkit.ops.frequency import idct2
from benchkit.params.build import build
from benchkit.params.grammar import pieces

SHAPE = (3, 16, 16)


def made(text: str) -> Any:
    ((name, raw),) = pieces(text)
    return build({cls.name: cls for cls in (FreqDetector, FreqFilter)}[name], raw)


@functools.cache
def natural(count: int, seed: int, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """Return 8-bit images whose amplitude falls like 1/f^2, of any brightness and contrast, with fine grain."""
    channels, height, width = shape
    rng = seeded(seed)
    f = torch.hypot(torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5)
    waves = idct2(torch.randn(count, channels, height, width, generator=rng) / f**2)
    level, contrast = torch.rand(2, count, 1, 1, 1, generator=rng)
    grain = torch.randn(waves.shape, generator=rng)
    images: Tensor = 60 + 130 * level + height * (10 + 50 * contrast) * waves + grain
    return images.clamp(0, 255).to(torch.uint8)


def with_block(images: Tensor) -> Tensor:
    images = images.clone()
    images[..., -5:-1, -5:-1] = 255
    return images


def grainy(images: Tensor, seed: int = 5) -> Tensor:
    """Return images with the noise of another camera."""
    noise = 4 * torch.randn(images.shape, generator=seeded(seed))
    return (images + noise).clamp(0, 255).to(torch.uint8)


def labelled(images: Tensor) -> benchkit.Split:
    """Return the images with labels that nobody looks at."""
    return benchkit.Split(images, torch.zeros(len(images), dtype=torch.int64))


def scene(clean: Tensor, seed: int = 0, **more: Any) -> benchkit.Scene:
    return attack_scenes.scene(clean=clean, classes=2, seed=seed, **more)


def prepared(detector: Any, clean: Tensor, seed: int = 0, **more: Any) -> benchkit.Scene:
    """Return a scene to score in, with what the detector learned of the clean images."""
    return scene(clean, seed + 1, prepared=detector.prepare(scene(clean, seed, **more)))


def auroc(detector: Any, where: benchkit.Scene, clean: Tensor, stamped: Tensor) -> float:
    scores = detector.score(torch.cat([clean, stamped]), where)
    return float(roc_auc_score([0] * len(clean) + [1] * len(stamped), scores))


def alike(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
