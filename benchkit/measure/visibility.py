"""The visibility of a trigger: the distance between images and their triggered copies, by four usual measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchkit.measure.rates import Metrics

BATCH = 4096
WINDOW = 11
"""Side of the SSIM window, in pixels; smaller images have no SSIM."""
COMPARED = 1000
"""Maximum number of images for SSIM, the only measure that is not batched."""


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
    from skimage.metrics import structural_similarity

    rows = slice(None, None, -(-len(clean) // COMPARED))
    pairs = zip(clean[rows].cpu().numpy(), triggered[rows].cpu().numpy(), strict=True)
    # The plain mean omits a border of half a window, where patches often are.
    how = {
        "full": True,
        "data_range": 255,
        "channel_axis": 0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    compare: Any = structural_similarity  # skimage has no types
    each = [float(compare(ours, theirs, **how)[1].mean()) for ours, theirs in pairs]
    return {"ssim": sum(each) / len(each)}
