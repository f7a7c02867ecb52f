"""The features of the frequency detector, and its networks."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchkit.ops.frequency import dct2

from .bands import band_powers, band_shape
from .cnn6 import Cnn6

ARCHITECTURES = ("cnn6", "linear", "svm")
BANDS = "dct-bands"
FEATURES = ("dct", "dct-log", BANDS, "image")
SCORING_VALUES = 1 << 18
"""Pixel values per scoring batch (85 images of 3 x 32 x 32): the maps of more do not fit into the caches."""
LOG_FLOOR = 1e-12
LEAST_DEVIATION = 0.1
"""The smallest divisor, for features that hardly vary. Rounding to 8 bits alone gives a deviation of 0.29."""


def features(images: Tensor, feature: str) -> Tensor:
    """Return the features of uint8 images (N, C, H, W): float32, of the same shape except for ``dct-bands``.

    ``dct``: the orthonormal DCT of 0-255 pixels per channel. ``dct-log``: ln(|X| + 1e-12) of it, without the sign.
    ``dct-bands``: its power in bands, see ``band_powers``. ``image``: the 0-255 pixels themselves.
    """
    if feature == "image":
        return images.float()
    coefficients = dct2(images)
    if feature == BANDS:
        return band_powers(coefficients)
    return coefficients if feature == "dct" else coefficients.abs_().add_(LOG_FLOOR).log_()


class Linear(nn.Module):
    """A linear classifier on standardised features: float (N, C, H, W) to logits (N, 2), clean and manipulated.

    The features are also divided by the root of their number, so that a training step changes the logits equally at
    every image size.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        size = shape[0] * shape[1] * shape[2]
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.layer = nn.utils.skip_init(nn.Linear, size, 2)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.layer((x.flatten(1) - self.mean) * self.scale)
        return logits

    def standardise(self, parts: Iterator[Tensor]) -> None:
        """Compute mean and standard deviation of each feature from batches (n, C, H, W) of the training images."""
        count, total, squares = 0, self.mean.double() * 0, self.mean.double() * 0
        for part in parts:
            flat = part.flatten(1).double()
            count, total, squares = count + len(flat), total + flat.sum(0), squares + flat.square().sum(0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_(min=0).sqrt_().clamp_(min=LEAST_DEVIATION)
        self.mean.copy_(mean)
        self.scale.copy_(1 / (deviation * len(mean) ** 0.5))


class FrequencyNet(nn.Module):
    """A classifier of uint8 images (N, C, H, W) by their features: logits (N, 2), clean and manipulated.

    Args:
        arch: one of ``ARCHITECTURES``.
        feature: one of ``FEATURES``.
        shape: (C, H, W).
        init: a CPU generator for the weights of a network to train.
        dropout: a generator on the device of the training.
    """

    def __init__(
        self,
        arch: str,
        feature: str,
        shape: tuple[int, int, int],
        init: torch.Generator | None = None,
        dropout: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.arch, self.feature = arch, feature
        seen = band_shape(shape) if feature == BANDS else shape
        self.net: Cnn6 | Linear = Cnn6(seen, init, dropout) if arch == "cnn6" else Linear(seen)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.judged(self.ready(images))

    def ready(self, images: Tensor) -> Tensor:
        """Return the input of ``loss``: bands are small enough to keep, other features are computed when needed."""
        if self.feature != BANDS or not len(images):
            return images
        return torch.cat([features(part, BANDS) for part in _parts(images)])

    def judged(self, ready: Tensor) -> Tensor:
        """Return the logits; autocast applies only to the network, never to the transform."""
        with torch.autocast(ready.device.type, enabled=False):
            seen = features(ready, self.feature) if ready.dtype == torch.uint8 else ready
        if self.arch == "cnn6":
            seen = seen.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.net(seen)
        return logits

    def loss(self, ready: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss: cross-entropy, or for ``svm`` the hinge loss of the difference of the logits."""
        fast = self.arch == "cnn6" and _fast_bfloat16(ready.device)
        with torch.autocast(ready.device.type, torch.bfloat16, enabled=fast):
            logits = self.judged(ready)
        if self.arch != "svm":
            return F.cross_entropy(logits.float(), labels)
        margin = (logits[:, 1] - logits[:, 0]) * (2 * labels - 1)
        hinge: Tensor = (1 - margin).clamp(min=0).mean()
        return hinge

    def penalised(self) -> list[Tensor]:
        """Return the weights with an L2 penalty: of the convolutions, or of the linear classifier."""
        return self.net.kernels() if isinstance(self.net, Cnn6) else [self.net.layer.weight]

    def standardise(self, images: Tensor) -> None:
        """Learn the scale of the features from training images, if the classifier is linear."""
        if isinstance(self.net, Linear):
            self.net.standardise(features(part, self.feature) for part in _parts(images))

    def scores(self, images: Tensor) -> Tensor:
        """Return the logit of "manipulated" minus that of "clean", float32 (N,)."""
        self.eval()
        with torch.no_grad():
            logits = torch.cat([self(part) for part in _parts(images)]).float()
        return logits[:, 1] - logits[:, 0]


def _parts(images: Tensor) -> Iterator[Tensor]:
    step = max(1, SCORING_VALUES // images[0].numel()) if len(images) else 1
    yield from images.split(step)


@functools.cache
def _fast_bfloat16(device: torch.device) -> bool:
    """Return whether this CPU multiplies bfloat16 in hardware: 1.7 times the speed at equal AUROC."""
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
