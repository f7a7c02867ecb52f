"""The embedded dataset: ten shapes over natural-looking textures, rendered in seconds, no download."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

import benchkit

from .render import SHAPES, Draws, render

SEED = 20211
TRAIN_PER_CLASS, TEST_PER_CLASS = 500, 150
SHA256 = "84bea23ee8cca9b11d56ac8001870553c2d565ab46ee0c907424fe48c580c30a"


def _split(draws: Draws, per_class: int) -> benchkit.Split:
    """Render one split; the classes take turns, so that any range of images is balanced."""
    images = np.stack([render(draws, shape, per_class) for shape in SHAPES], axis=1)
    labels = torch.arange(len(SHAPES)).repeat(per_class)
    return benchkit.Split(torch.from_numpy(images).flatten(0, 1), labels)


def digest(data: benchkit.Data) -> str:
    """Return the SHA-256 of train images, train labels, test images, test labels, as little-endian bytes."""
    sha = hashlib.sha256()
    for split in (data.train, data.test):
        sha.update(split.images.numpy().tobytes())
        sha.update(split.labels.numpy().astype("<i8").tobytes())
    return sha.hexdigest()


@dataclass(frozen=True)
class Scenes(benchkit.Dataset):
    """Ten shapes, 5,000 training and 1,500 test images, 3 x 32 x 32, with the spectrum of natural images.

    Poses, colours, contrast, light, textures and sensor noise vary. The log-power slope of the DCT and the noise floor
    at its high end are close to those of CIFAR-10, so that frequency attacks and detectors work on realistic images.
    """

    name = "scenes"
    embedded = True
    paper = "embedded in benchkit, procedurally rendered"

    def load(self, source: benchkit.Source) -> benchkit.Data:
        """Render both splits: uint8 (N, 3, 32, 32).

        Raises:
            DataError: if this machine renders other bytes than the expected ones.
        """
        draws = Draws(SEED)
        data = benchkit.Data(_split(draws, TRAIN_PER_CLASS), _split(draws, TEST_PER_CLASS), tuple(SHAPES))
        made = digest(data)
        if made != SHA256:
            raise benchkit.DataError(
                f"scenes came out as {made[:12]} instead of {SHA256[:12]} on this machine, so results would"
                f" not compare with others': try another numpy (this is {np.__version__}) and report it"
            )
        return data

    def fingerprint(self, source: benchkit.Source) -> str:
        """Return the SHA-256 that ``load`` checks."""
        return SHA256


@benchkit.hookimpl
def benchkit_datasets() -> list[type[benchkit.Dataset]]:
    """Offer the embedded dataset."""
    return [Scenes]
