"""Shadow models: small models with and without backdoors that a defense learns from, trained by the harness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.params.component import Component, param

if TYPE_CHECKING:
    from benchkit.contracts.data import Split
    from benchkit.contracts.scene import Scene


@dataclass(frozen=True)
class Shadows(Component, ABC):
    """What a defense's shadow models are trained on, one data set for each; a defense returns it from ``shadows``.

    It is a component of its own, so that models trained once serve every defense that describes them alike,
    whatever else differs: the harness trains them, many at a time, keeps them, and hands them to ``prepare`` as
    ``scene.shadows``. All are trained by the same number of steps, poisoned or not, if their sets are equally large.
    """

    count: int = param(64, "models", ge=2, used_by_prepare=False)
    clean: float = param(0.05, "clean images the defender holds, as a share of the training set", gt=0, le=1)
    model: str = param("", "their architecture, such as mntd_cnn; empty: that of the victim")
    recipe: str = param("mntd", "how they are trained")

    @abstractmethod
    def split(self, number: int, scene: Scene) -> Split:
        """Return the training set of one model: uint8 (N, C, H, W), int64 labels.

        ``scene.clean`` are the defender's own images; ``scene.rng`` depends on the seed and ``number`` alone, so
        that a model is the same however many others there are.
        """
