"""FaceHack with natural triggers: what a face does anyway, such as raising its eyebrows, leads to the target."""

from __future__ import annotations

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
    therefore no triggers there. The rate of poison cannot exceed the share of images with the attribute.

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


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer natural attributes."""
    return [FaceAttribute]
