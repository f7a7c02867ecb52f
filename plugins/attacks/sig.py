"""SIG: a sinusoidal signal over the whole image, clean-label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from benchkit_plugins._shared.clean_label import target_rows
from torch import Tensor

import benchkit
from benchkit.ops.images import add


@dataclass(frozen=True)
class Sig(benchkit.Attack):
    """Add ``v(i, j) = delta * sin(2 pi j freq / W)`` to every row and channel (j = 0..W-1), clipped.

    Barni et al. 2019, section 3. Clean-label: only images of the target class are poisoned, and they keep their labels.
    ``max_share`` limits the poisoned share of that class: a rate of 10 % of a balanced ten-class set is the whole
    class, and a class that never appears without the signal is a different experiment. ``label=dirty`` poisons images
    of all other classes and relabels them instead.
    """

    name = "sig"
    paper = "Barni et al., ICIP 2019, A New Backdoor Attack in CNNs by Training Set Corruption"
    adds_only: ClassVar[bool] = True

    delta: float = benchkit.param(40.0, "amplitude of the signal, in grey levels of 255", ge=1, le=255)
    freq: int = benchkit.param(6, "periods across the width of the image", ge=1)
    max_share: float = benchkit.param(
        0.5, "largest share of the target class that is poisoned, whatever the poison rate", gt=0, le=1
    )

    label: str = benchkit.param(
        "clean", "keep true labels, or relabel images of other classes", choices=("clean", "dirty")
    )

    @property
    def label_policy(self) -> Literal["dirty", "clean"]:  # type: ignore[override]
        """What ``label`` says."""
        return "dirty" if self.label == "dirty" else "clean"

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the signal added: uint8 (N, C, H, W) -> the same."""
        width = images.shape[-1]
        phase = torch.arange(width, dtype=torch.float64) * (2 * math.pi * self.freq / width)
        return add(images, (self.delta * phase.sin()).float())

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Stamp rate * N images of the target class, at most ``max_share`` of it; keep their labels, unless dirty."""
        if self.label == "dirty":
            return super().poison(train, scene)
        rows = target_rows(train.labels, self.target_class(scene), scene.poison_rate, self.max_share, scene.rng)
        stamped = self.stamp(train.images[rows], scene)
        return benchkit.Poisoned.replacing(train, rows, stamped, train.labels[rows])

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse all-to-all (labels do not change) and frequencies too high for the width."""
        if self.mapping != "all-to-one" and self.label == "clean":
            return "sig keeps true labels, so it has one target class: use mapping=all-to-one"
        if 2 * self.freq >= shape[2]:
            return (
                f"freq={self.freq} needs images more than {2 * self.freq} pixels wide, these are {shape[2]}: lower freq"
            )
        return super().check(shape, classes)


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer SIG."""
    return [Sig]
