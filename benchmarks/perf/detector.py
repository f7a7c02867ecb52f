"""The frequency detector's scores of 10,000 images, against the published way: a DCT a channel, then the network.

The reference transforms channel by channel with scipy.fftpack and asks a plain float32 network of the same six
layers: an image at a time, as a deployed detector would, or in batches of 32, as Keras' ``predict`` does.
"""

from __future__ import annotations

import numpy as np
import scipy.fftpack
import torch
from _perf import Figure, faster, images, scene, split, turns
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector
from torch import nn

import benchkit


def network() -> nn.Module:
    """Return the six-layer network of the paper for 3 x 32 x 32, in eval mode."""
    layers: list[nn.Module] = []
    inside = 3
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(inside, width, 3, padding=1), nn.ELU(), nn.BatchNorm2d(width)]
            inside = width
        layers += [nn.MaxPool2d(2), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 2)).eval()


def dct(image: np.ndarray) -> np.ndarray:
    """Transform channel by channel, one axis after the other."""
    out = np.empty(image.shape, np.float32)
    for channel, plane in enumerate(image):
        out[channel] = scipy.fftpack.dct(scipy.fftpack.dct(plane.T, norm="ortho").T, norm="ortho")
    return out


def theirs(array: np.ndarray, net: nn.Module, batch: int) -> None:
    """Score images in batches of so many."""
    with torch.no_grad():
        for start in range(0, len(array), batch):
            seen = np.stack([dct(image.astype(np.float64)) for image in array[start : start + batch]])
            net(torch.from_numpy(seen)).softmax(1).numpy()


def figures(quick: bool) -> list[Figure]:
    """Measure scoring, the detector being trained."""
    count, share, repetitions = (64, 32, 1) if quick else (10_000, 320, 5)
    stack = images(count)
    detector = FreqDetector(rounds=1)
    clean: benchkit.Split = split(64)
    where = scene(clean, prepared=detector.prepare(scene(clean)))
    net, array = network(), stack[:share].numpy()
    works = {
        "ours": lambda: detector.score(stack, where),
        "one": lambda: theirs(array, net, 1),
        "batches": lambda: theirs(array, net, 32),
    }
    taken = turns(works, repetitions)
    one, batches = (taken[way].times(count / share) for way in ("one", "batches"))
    what, of = f"freq-detector's scores of {count:,} images", f"({share} images, scaled)"
    return [
        faster(what, taken["ours"], f"scipy per channel, network per image {of}", one),
        faster(what, taken["ours"], f"scipy per channel, network per 32 images {of}", batches),
    ]
