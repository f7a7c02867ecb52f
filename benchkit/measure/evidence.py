"""The evidence of a cell beside its numbers: curves of detection scores, and one image with its trigger."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from benchkit.measure.rates import roc
from benchkit.ops.frequency import dct2

if TYPE_CHECKING:
    from benchkit.contracts.verdict import Verdict
    from benchkit.measure.rates import Metrics

POINTS, LOW_POINTS, BINS = 101, 20, 40
"""Evenly spaced points of a ROC curve over FPR, additional points below the second one; bins of a histogram."""
LARGEST = 96
"""Side in pixels above which the gallery's images are shrunk, to keep records small."""


@dataclass(frozen=True)
class Measurement:
    """The result of measuring a cell: numbers, JSON that a report can draw, and what the defense said, checked.

    There is one verdict, or one for each model that a model detector judged. ``aside`` are the seconds in it that went
    into other models than that of the defense.
    """

    metrics: Metrics
    exhibits: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    aside: float = 0.0


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the exhibits of both, with one gallery."""
    gallery = {**first.get("gallery", {}), **second.get("gallery", {})}
    return {**first, **second, **({"gallery": gallery} if gallery else {})}


def curves(clean: Tensor, triggered: Tensor, control: Tensor) -> dict[str, Any]:
    """Return a ROC curve and histograms of scores, each float (N,), higher = more suspicious.

    ``roc`` holds ``tpr`` and ``fpr``, at every per cent of FPR, and below 1 % at more points, down to one clean image;
    ``scores`` holds ``edges`` (BINS + 1) between the 0.5 % and the 99.5 % quantile of all scores, and the share of
    ``clean``, ``triggered`` and ``control`` scores in each bin; scores beyond the edges count in the outermost bins.
    """
    wrong, right = roc(clean, triggered)
    fpr, tpr = wrong.numpy() / len(clean), right.numpy() / len(triggered)
    scores = torch.cat([clean, triggered]).double()
    second = 1 / (POINTS - 1)  # defenders need a low FPR, so the curve below this point matters most
    few = np.geomspace(min(second, 1 / len(clean)), second, LOW_POINTS)
    grid = np.union1d(few[:-1], np.linspace(0, 1, POINTS))
    low, high = torch.cat([scores, control.double()]).quantile(torch.tensor([0.005, 0.995]).double()).tolist()
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    named = {"clean": clean, "triggered": triggered, "control": control}
    return {
        "roc": {"fpr": _short(grid), "tpr": _short(np.interp(grid, fpr, tpr))},
        "scores": {"edges": _short(edges), **{name: _shares(one, edges) for name, one in named.items()}},
    }


def _shares(scores: Tensor, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(scores.double().numpy().clip(edges[0], edges[-1]), edges)
    return _short(counts / len(scores))


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def gallery(clean: Tensor, stamped: Tensor) -> dict[str, str]:
    """Return data URIs of PNGs: an image, the same with its trigger, the change times 5, and its spectrum.

    Args:
        clean: uint8 (C, H, W).
        stamped: uint8 (C, H, W).
    """
    change = stamped.float() - clean.float()
    spectrum = (dct2(change[None]).abs().mean((0, 1)) + 1).log10()
    shown = {
        "clean": clean.float(),
        "stamped": stamped.float(),
        "difference x5": 127.5 + 5 * change,
        "spectrum of the change": 255 * (spectrum / spectrum.max().clamp(min=1e-6))[None],
    }
    return {name: png(image) for name, image in shown.items()}


def true_trigger(clean: Tensor, stamped: Tensor) -> dict[str, str]:
    """Return data URIs of two of these pictures under names that set them apart from a recovered trigger."""
    change = stamped.float() - clean.float()
    return {"true trigger": png(stamped.float()), "true trigger x5": png(127.5 + 5 * change)}


def strip(before: Tensor, after: Tensor) -> str:
    """Return a data URI of a PNG: images in a row, and below them the same after a purification.

    Args:
        before: uint8 (N, C, H, W), N >= 1.
        after: the same shape and dtype.
    """
    rows = [torch.cat(list(images.cpu()), 2) for images in (before, after)]
    return png(torch.cat(rows, 1).float(), LARGEST * len(before) // 3)


def png(image: Tensor, largest: int = LARGEST) -> str:
    """Return a data URI of the PNG of an image, (C, H, W) in 0..255, shrunk to sides of at most ``largest``."""
    from PIL import Image

    levels = image.clamp(0, 255).round().to(torch.uint8).cpu().permute(1, 2, 0).numpy()
    picture = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    picture.thumbnail((largest, largest))
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
