"""Shadow models: small models with and without backdoors, trained by the harness, from which a defense learns."""

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
    """The training sets of a defense's shadow models, one for each; a defense returns it from ``shadows``.

    It is a separate component, so that all defenses with the same shadow models share them. The harness trains the
    models, many at a time, stores them, and passes them to ``prepare`` as ``scene.shadows``. If their sets have the
    same size, all are trained for the same number of steps, poisoned or not.
    """

    count: int = param(64, "models", ge=2, used_by_prepare=False)
    clean: float = param(0.05, "clean images the defender holds, as a share of the training set", gt=0, le=1)
    model: str = param("", "their architecture, such as mntd_cnn; empty: that of the victim")
    recipe: str = param("mntd", "how they are trained")

    @abstractmethod
    def split(self, number: int, scene: Scene) -> Split:
        """Return the training set of one model: uint8 (N, C, H, W), int64 labels.

        ``scene.clean`` holds the defender's own images; ``scene.rng`` depends only on the seed and ``number``, so that
        a model does not depend on the number of models.
        """
