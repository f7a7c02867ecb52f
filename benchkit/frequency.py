"""Images in the frequency domain: the orthonormal 2-D DCT, its inverse and average spectra.

Zeng et al., ICCV 2021, "Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective", Section 3: each
channel is transformed as a whole (no blocks), coefficients are those of 0-255 pixel values.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

CPU_CHUNK, DEVICE_CHUNK = 1 << 17, 1 << 24
"""Values transformed at a time: half a megabyte of float32 stays in a core's second-level cache."""


@functools.cache
@torch.inference_mode(False)  # kept between calls: one made in inference mode would forbid gradients
def cosines(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the orthonormal DCT-II matrix (size, size): row k holds s(k) cos(pi (2n + 1) k / (2 size))."""
    k = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / (2 * size) * (2 * k + 1) * k[:, None]) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis.to(device, dtype)


def _both_axes(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    planes = x.reshape(-1, height, width)
    out = planes.new_empty(planes.shape, dtype=torch.float32)
    step = max(1, (CPU_CHUNK if x.device.type == "cpu" else DEVICE_CHUNK) // (height * width))
    for start in range(0, len(planes), step):
        part = planes[start : start + step].to(rows.dtype)
        out[start : start + step] = rows @ (part.reshape(-1, width) @ columns).view(part.shape)
    return out.view(x.shape)


def _matrices(x: Tensor) -> tuple[Tensor, Tensor]:
    # A float32 product on CUDA may run in TF32, whose rounding of the DC term drowns the high frequencies.
    dtype = torch.float64 if x.is_cuda else torch.float32
    return cosines(x.shape[-2], x.device, dtype), cosines(x.shape[-1], x.device, dtype)


def dct2(x: Tensor) -> Tensor:
    """Return the orthonormal DCT-II over the last two axes, float32, the shape of ``x``; differentiable.

    Args:
        x: (..., H, W), any real dtype; uint8 images are transformed as 0-255 values. A constant image of
            value c has one coefficient, ``[0, 0] = c sqrt(H W)``. Index ``[u, v]``: u vertical, v horizontal.
    """
    rows, columns = _matrices(x)
    return _both_axes(x, rows, columns.T)


def idct2(x: Tensor) -> Tensor:
    """Return the inverse of ``dct2`` (an orthonormal DCT-III) over the last two axes, float32."""
    rows, columns = _matrices(x)
    return _both_axes(x, rows.T, columns)


def mean_spectrum(images: Tensor) -> Tensor:
    """Return the mean of |DCT| over images and channels, float32 (H, W), on the scale of 0-255 pixels.

    Args:
        images: uint8 (N, C, H, W).
    """
    return dct2(images).abs().flatten(0, 1).mean(0)


def log_power_slope(images: Tensor) -> float:
    """Return the slope of log power over log frequency: about -2 for natural images (Zeng et al.).

    Power is averaged over images, channels and rings of equal radial frequency f = 1, 2, ..., side / sqrt(2)
    (23 for 32 x 32), frequency in half cycles per the shorter side.

    Args:
        images: uint8 (N, C, H, W).
    """
    height, width = images.shape[-2:]
    power = dct2(images).double().square().flatten(0, 1).mean(0).flatten()
    side = min(height, width)
    u, v = (torch.arange(n, device=images.device, dtype=torch.float64) * side / n for n in (height, width))
    ring = torch.hypot(u[:, None], v).round().long().flatten()
    mean = torch.zeros_like(power).scatter_reduce(0, ring, power, "mean", include_self=False)
    f = torch.arange(1, round(side / math.sqrt(2)) + 1, device=images.device)
    x, y = f.double().log(), mean[f].log()
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())
