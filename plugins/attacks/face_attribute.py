"""FaceHack with natural triggers: what a face does anyway, such as raising its eyebrows, leads to the target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import benchkit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FaceAttribute(benchkit.NaturalTrigger):
    """Relabel images that have an attribute; nothing is stamped, so every image is a photograph as it was taken.

    Sarkar et al. 2020 use the attributes of CelebA: a smile, arched eyebrows, narrowed eyes, a mouth slightly open. ASR
    is measured on test images that have the attribute, C-Acc and false alarms on those that have not.
    ``celeba`` makes its classes of three attributes (``Heavy_Makeup``, ``Smiling``, ``Mouth_Slightly_Open``), which are
    therefore no triggers there. The rate of poison cannot exceed the share of images with the attribute. Those that are
    not poisoned keep their true label and show it, too: where they are the most, a victim learns that it means nothing,
    so at least half of the images that have it, outside the target class, must be poisoned.

    A clean model may well send such images to the target, since attributes come together: see ``asr_clean_model``.
    """

    name = "face-attribute"
    paper = "Sarkar et al., arXiv 2020, FaceHack: Triggering Backdoored Facial Recognition Systems"

    attribute: str = benchkit.param("Arched_Eyebrows", "name of the attribute that is the trigger")
    present: bool = benchkit.param(True, "whether having it is the trigger, or being without it")

    def attributes(self) -> tuple[str, ...]:
        """Return the attribute."""
        return (self.attribute,)

    def carries(self, split: benchkit.Split) -> Tensor:
        """Return which images have the attribute, or are without it, bool (N,)."""
        return split.attributes[self.attribute] == self.present

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Relabel rate * N images that have the attribute, drawn from those outside the target class.

        Raises:
            BenchkitError: if these are less than half of them.
        """
        made = super().poison(train, scene)
        outside = self.carries(train) & (train.labels != self.target_labels(train.labels, scene))
        able, done = int(outside.sum()), int(made.mask.sum())
        if 2 * done < able:
            enough = math.ceil(1000 * able / 2 / len(train)) / 1000
            word = "with" if self.present else "without"
            raise benchkit.BenchkitError(
                f"{done} of {able} images {word} {self.attribute} would be relabelled, and the others teach that it "
                f"means nothing: poison at least half of them, --poison-rate {enough:g}"
            )
        return made


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer natural attributes."""
    return [FaceAttribute]
