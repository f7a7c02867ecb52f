"""The frequency detector: a small network that tells clean images from manipulated ones by their DCT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

import benchkit
from benchkit.frequency import dct2

from ._cnn6 import Cnn6
from ._manipulations import perturb

CALIBRATION = 0.1
"""Share of the clean images that is kept out of the training and sets the threshold."""
SCORING_VALUES = 1 << 20
"""Pixel values scored at a time (341 images of 3 x 32 x 32)."""
WEIGHT = "net."


@dataclass(frozen=True)
class FreqDetector(benchkit.InputDetector):
    """Train a six-layer network on the DCT of clean images and of manipulated copies; flag the latter.

    The defender knows no attack: the copies carry blocks, noise, shadows and blends of random size and place.
    Input, network and copies follow the released code (Section 4 of the paper): raw coefficients of 0-255
    pixels per channel, batches of 64, Adadelta(rho 0.95, eps 1e-7), a penalty of 1e-4 |w|^2 on the
    convolutions, and new copies in every round. Two things differ. A tenth of the clean images is held back
    to set the threshold (the paper takes the larger logit). And the training is a tenth as long, so its
    learning rate starts higher and ends lower; ``epochs=10,lr=0.05,anneal=false`` is the paper's.
    """

    name = "freq-detector"
    paper = "Zeng et al., ICCV 2021, Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective"

    clean: float = benchkit.param(
        1.0, "clean images the defender holds, as a share of the training set (the paper: all)", gt=0, le=1
    )
    rounds: int = benchkit.param(5, "times the manipulated copies are drawn anew", ge=1)
    epochs: int = benchkit.param(1, "passes over clean images and copies in a round (the paper: 10)", ge=1)
    batch: int = benchkit.param(64, "images per training step", ge=2)
    lr: float = benchkit.param(1.0, "learning rate of Adadelta (the paper: 0.05)", gt=0)
    anneal: bool = benchkit.param(True, "let the learning rate fall to 0 over the second half (the paper: no)")
    noise_mean: float = benchkit.param(
        25.0,
        "mean of the Gaussian noise in grey levels (the paper's text implies 0, its code adds 25)",
        ge=0,
        le=255,
    )

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Ask for grey or RGB images that survive three halvings."""
        channels, height, width = shape
        if channels not in (1, 3):
            return f"freq-detector needs grey or RGB images, these have {channels} channels"
        if min(height, width) < 8:
            return f"freq-detector needs images of at least 8 x 8 pixels, these are {height} x {width}"
        return None

    def prepare(self, scene: benchkit.Scene) -> dict[str, Tensor]:
        """Train the network; return its weights and the scores of the clean images it did not see.

        Raises:
            DataError: when there are too few clean images.
        """
        order = torch.randperm(len(scene.clean), generator=scene.rng)
        images = scene.clean.images.to(scene.device)[order.to(scene.device)]
        held_back = max(1, round(CALIBRATION * len(images)))
        if len(images) - held_back < 2:
            raise benchkit.DataError(
                f"freq-detector needs 3 clean images or more, got {len(images)}: raise clean={self.clean:g}"
            )
        net = self._train(images[:-held_back], scene)
        weights = {WEIGHT + key: value.cpu().contiguous() for key, value in net.state_dict().items()}
        return weights | {"calibration": _scores(net, images[-held_back:]).cpu()}

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the logit of "manipulated" minus that of "clean"; above 0 the network says manipulated."""
        net = Cnn6(scene.shape)
        kept = {key.removeprefix(WEIGHT): value for key, value in scene.prepared.items() if WEIGHT in key}
        net.load_state_dict(kept)
        return _scores(net.to(scene.device), images.to(scene.device))

    def threshold(self, scene: benchkit.Scene) -> float:
        """Return the 1 - fpr quantile over the clean images that were kept out of the training."""
        return float(scene.prepared["calibration"].double().quantile(1 - self.fpr))

    def _train(self, clean: Tensor, scene: benchkit.Scene) -> Cnn6:
        net = _new_network(scene)
        optimiser = self._optimiser(net)
        schedule = self._schedule(optimiser, steps=self.rounds * self.epochs * -(-2 * len(clean) // self.batch))
        labels = torch.arange(2, device=scene.device).repeat_interleave(len(clean))
        for _ in range(self.rounds):
            both = torch.cat([clean, perturb(clean, scene.rng, self.noise_mean)])
            for rows in self._batches(len(both), scene):
                optimiser.zero_grad()
                _loss(net, both[rows], labels[rows]).backward()
                optimiser.step()
                schedule.step()
        return net

    def _batches(self, count: int, scene: benchkit.Scene) -> Iterator[Tensor]:
        for _ in range(self.epochs):
            order = torch.randperm(count, generator=scene.rng).to(scene.device)
            yield from order.split(self.batch)

    def _optimiser(self, net: Cnn6) -> torch.optim.Optimizer:
        others = [weight for weight in net.parameters() if weight.ndim != 4]
        # torch halves its penalty, Keras does not: l2(1e-4) there is a decay of 2e-4 here.
        groups: list[dict[str, Any]] = [{"params": net.kernels(), "weight_decay": 2e-4}, {"params": others}]
        return torch.optim.Adadelta(groups, lr=self.lr, rho=0.95, eps=1e-7, foreach=True)

    def _schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> LambdaLR:
        return LambdaLR(optimiser, lambda step: min(1.0, 2 - 2 * step / steps) if self.anneal else 1.0)


def _new_network(scene: benchkit.Scene) -> Cnn6:
    seed = int(torch.randint(2**62, (), generator=scene.rng))
    dropout = torch.Generator(scene.device).manual_seed(seed)
    net = Cnn6(scene.shape, init=scene.rng, dropout=dropout)
    return net.to(scene.device).to(memory_format=torch.channels_last).train()


def _loss(net: Cnn6, images: Tensor, labels: Tensor) -> Tensor:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=_fast_bfloat16(images.device)):
        logits = net(_coefficients(images))
    return F.cross_entropy(logits.float(), labels)


def _coefficients(images: Tensor) -> Tensor:
    return dct2(images).contiguous(memory_format=torch.channels_last)


def _scores(net: Cnn6, images: Tensor) -> Tensor:
    net.eval()
    step = max(1, SCORING_VALUES // images[0].numel()) if len(images) else 1
    with torch.no_grad():
        parts = [net(_coefficients(part)) for part in images.split(step)]
    logits = torch.cat(parts).float()
    return logits[:, 1] - logits[:, 0]


def _fast_bfloat16(device: torch.device) -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware: 1.7 times the speed at equal AUROC."""
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer the frequency detector."""
    return [FreqDetector]
