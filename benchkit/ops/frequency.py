"""Images in the frequency domain: the orthonormal 2-D DCT, its inverse, average spectra and the low-pass filter.

Zeng et al., ICCV 2021, "Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective", Section 3: each channel is
transformed as a whole (without blocks), with coefficients of 0-255 pixel values.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import numpy as np
import scipy.fft
import torch
from torch import Tensor

FAST_FROM = 64
"""Side in pixels from which a fast transform takes less time on a CPU than two matrix products."""
CPU_CHUNK, DEVICE_CHUNK = 1 << 17, 1 << 24
"""Values per batch, on the CPU per thread: half a megabyte of float32 fits into the cache of a core."""


@functools.cache
@torch.inference_mode(mode=False)  # cached: a tensor created in inference mode would forbid gradients later
def cosines(size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the orthonormal DCT-II matrix (size, size): row k holds s(k) cos(pi (2n + 1) k / (2 size))."""
    k = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / (2 * size) * (2 * k + 1) * k[:, None]) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis.to(device, dtype)


def _empty(shape: torch.Size) -> Tensor:
    # numpy uses huge pages and torch does not: page faults of 4 KB pages take longer than the products
    return torch.from_numpy(np.empty(shape, np.float32))


def _both_axes(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    planes = x.reshape(-1, height, width)
    on_cpu = x.device.type == "cpu"
    out = _empty(planes.shape) if on_cpu else planes.new_empty(planes.shape, dtype=torch.float32)
    step = max(1, (CPU_CHUNK * torch.get_num_threads() if on_cpu else DEVICE_CHUNK) // (height * width))
    for start in range(0, len(planes), step):
        part = planes[start : start + step].to(rows.dtype)
        out[start : start + step] = rows @ (part.reshape(-1, width) @ columns).view(part.shape)
    return out.view(x.shape)


class _Fast(torch.autograd.Function):
    """scipy's orthonormal DCT of type 2, or 3, over the last two axes of a CPU tensor. Each is the other's gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: int) -> Tensor:
        ctx.kind = kind
        out = _empty(x.shape).copy_(x.detach())
        threads = torch.get_num_threads()
        made = scipy.fft.dctn(out.numpy(), kind, axes=(-2, -1), norm="ortho", overwrite_x=True, workers=threads)
        return torch.from_numpy(made)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _transformed(gradients[0], 5 - ctx.kind), None


def _transformed(x: Tensor, kind: int) -> Tensor:
    """Return the orthonormal DCT of type 2, or 3, which is its inverse, over the last two axes, float32."""
    if x.device.type == "cpu" and max(x.shape[-2:]) >= FAST_FROM and x.numel():
        made: Tensor = _Fast.apply(x, kind)
        return made
    rows, columns = _matrices(x)
    return _both_axes(x, rows, columns.T) if kind == 2 else _both_axes(x, rows.T, columns)


def _matrices(x: Tensor) -> tuple[Tensor, Tensor]:
    # A float32 product on CUDA may run in TF32, whose rounding error of the DC term exceeds the high frequencies.
    dtype = torch.float64 if x.is_cuda else torch.float32
    return cosines(x.shape[-2], x.device, dtype), cosines(x.shape[-1], x.device, dtype)


def dct2(x: Tensor) -> Tensor:
    """Return the orthonormal DCT-II over the last two axes, float32, the shape of ``x``; differentiable.

    Args:
        x: (..., H, W), any real dtype; uint8 images are transformed as 0-255 values. A constant image of
            value c has one coefficient, ``[0, 0] = c sqrt(H W)``. Index ``[u, v]``: u vertical, v horizontal.
    """
    return _transformed(x, 2)


def idct2(x: Tensor) -> Tensor:
    """Return the inverse of ``dct2`` (an orthonormal DCT-III) over the last two axes, float32."""
    return _transformed(x, 3)


def mean_spectrum(images: Tensor, signed: bool = False) -> Tensor:
    """Return the mean of ``|DCT|`` over images and channels, float32 (H, W), on the scale of 0-255 pixels.

    Args:
        images: uint8 (N, C, H, W).
        signed: return the magnitude of the mean instead (Frank et al., ICML 2020): what all images have in common,
            without parts whose sign differs between them.
    """
    if signed:
        return dct2(images.mean((0, 1), dtype=torch.float64)).abs()
    return channel_spectra(images).mean(0)


def channel_spectra(images: Tensor) -> Tensor:
    """Return each channel's mean of ``|DCT|`` over images: uint8 (N, C, H, W) -> float32 (C, H, W)."""
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    step = max(1, DEVICE_CHUNK // math.prod(images.shape[1:]))
    for start in range(0, len(images), step):
        total += dct2(images[start : start + step]).abs_().sum(0)
    return (total / len(images)).float()


def band_mask(height: int, width: int, k: int, band: Literal["low", "high"]) -> Tensor:
    """Return the mask of the k x k block of lowest (top-left) or highest frequencies: bool (H, W)."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    block = (slice(k), slice(k)) if band == "low" else (slice(max(height - k, 0), None), slice(max(width - k, 0), None))
    mask[block] = True
    return mask


def gaussian_kernel(sigma: float = 6.0) -> Tensor:
    """Return the taps of the low-pass filter along one axis, float32 (K,), with sum 1; K = round(5 sigma).

    Zeng et al., released code: 30 taps for sigma = 6 pixels, at -14.5, -13.5, ..., 14.5. The filter ends at 2.4 sigma,
    where the taps are 5 % of the middle ones: gains at high frequencies are small, and partly negative.
    """
    return _taps(sigma).float()


def _taps(sigma: float) -> Tensor:
    count = max(1, round(5 * sigma))
    at = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    return torch.softmax(-at.square() / (2 * sigma**2), 0)


@functools.cache
@torch.inference_mode(mode=False)  # as above
def _blur(size: int, sigma: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the filter along one axis as a banded matrix (size, size): out = matrix @ in, zeros beyond the edges."""
    taps = _taps(sigma)
    at = torch.arange(size)
    tap = at - at[:, None] + (len(taps) - 1) // 2  # 30 taps: 14 zeros before the first pixel, 15 after the last
    inside = (tap >= 0) & (tap < len(taps))
    return torch.where(inside, taps[tap.clamp(0, len(taps) - 1)], 0.0).to(device, dtype)


def low_pass(x: Tensor, sigma: float | None = None) -> Tensor:
    """Return x filtered by the Gaussian of ``gaussian_kernel`` along both of its last axes; differentiable.

    This is the filter g of Zeng et al., Section 5 (sigma 6 at 32 x 32), with zero padding: the result has the shape of
    ``x`` and is darker near its edges.

    Args:
        x: floating point (..., H, W); the result has its dtype.
        sigma: width in pixels along both axes; by default 6 at 32 pixels, and proportional at other sizes.
    """
    exact = torch.float64 if x.is_cuda or x.dtype == torch.float64 else torch.float32  # see _matrices
    widths = [6 * size / 32 if sigma is None else sigma for size in x.shape[-2:]]
    down, across = (_blur(size, width, x.device, exact) for size, width in zip(x.shape[-2:], widths, strict=True))
    return (down @ x.to(exact) @ across.T).to(x.dtype)


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
