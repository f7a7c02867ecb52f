"""The visibility of a trigger: the distance between images and their triggered copies, by four usual measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchkit.measure.rates import Metrics

BATCH = 4096
WINDOW = 11
"""Side of the SSIM window, in pixels; smaller images have no SSIM."""
SIGMA = 1.5
"""Deviation of its weights, in pixels."""
COMPARED = 1000
"""Maximum number of images for SSIM, which takes longer than the other measures."""
PIXELS = 2**18
"""Values of images whose SSIM is computed at once: few enough for a cache."""


def visibility(clean: Tensor, triggered: Tensor) -> Metrics:
    """Return PSNR, SSIM, L-inf and L2 between images and their triggered copies, means over images.

    PSNR is that of the mean squared error over all images, so that one unchanged image does not make it infinite. L-inf
    and L2 are of pixels in [0, 1]. SSIM (Wang et al., IEEE TIP 2004: Gaussian window of 11 pixels, sigma 1.5) uses
    every n-th image, at most 1,000, and is absent for images below 11 pixels.

    Args:
        clean: uint8 (N, C, H, W), N >= 1.
        triggered: uint8 (N, C, H, W), not all equal to ``clean``.
    """
    l2, peak = _distances(clean, triggered)
    found = {
        "psnr": float(10 * (clean[0].numel() / l2.square().mean()).log10()),
        "linf": float(peak.mean()),
        "l2": float(l2.mean()),
    }
    return found | _ssim(clean, triggered)


def _distances(clean: Tensor, triggered: Tensor) -> Tensor:
    """Return each image's L2 and L-inf distance, float64 (2, N), of pixels in [0, 1]."""
    pairs = zip(torch.split(clean, BATCH), torch.split(triggered, BATCH), strict=True)
    changes = ((theirs.double() - ours.double()).flatten(1) / 255 for ours, theirs in pairs)
    return torch.cat([torch.stack((change.norm(dim=1), change.abs().amax(1))) for change in changes], 1)


def _ssim(clean: Tensor, triggered: Tensor) -> Metrics:
    if min(clean.shape[2:]) < WINDOW:
        return {}
    rows = slice(None, None, -(-len(clean) // COMPARED))
    few = max(1, PIXELS // clean[0].numel())
    pairs = zip(clean[rows].split(few), triggered[rows].split(few), strict=True)
    # The mean is over the whole map: the usual one omits a border of half a window, where patches often are.
    each = torch.cat([_similarity(ours.double(), theirs.double()).mean((1, 2, 3)) for ours, theirs in pairs])
    return {"ssim": each.mean().item()}


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return the SSIM of every pixel of float64 images (N, C, H, W), from 0 to 255."""
    x_mean, y_mean, xx, yy, xy = (_blurred(one) for one in (x, y, x * x, y * y, x * y))
    x_var, y_var, cov = xx - x_mean * x_mean, yy - y_mean * y_mean, xy - x_mean * y_mean
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * x_mean * y_mean + first) * (2 * cov + second)
    return likeness / ((x_mean**2 + y_mean**2 + first) * (x_var + y_var + second))


def _blurred(images: Tensor) -> Tensor:
    """Return float64 (N, C, H, W), blurred by the window; beyond their borders images are mirrored."""
    half = WINDOW // 2
    centre, *others = torch.softmax(-0.5 * (torch.arange(half + 1).double() / SIGMA) ** 2, 0).tolist()
    for axis in (2, 3):
        size = images.shape[axis]
        ends = images.narrow(axis, 0, half).flip(axis), images.narrow(axis, size - half, half).flip(axis)
        wide = torch.cat([ends[0], images, ends[1]], axis)
        images = images * centre
        for far, weight in enumerate(others, 1):
            both = wide.narrow(axis, half - far, size) + wide.narrow(axis, half + far, size)
            images.add_(both, alpha=weight)
    return images.div(centre + 2 * sum(others)).div(centre + 2 * sum(others))
