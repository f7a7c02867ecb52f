"""The base of model detectors with an outlier rule over classes, and its cutoff."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchkit.contracts.kinds import ModelDetector
from benchkit.contracts.thresholds import index_cutoff, index_fault
from benchkit.params.component import param

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.scene import Scene

FEWEST_CLASSES = 3
"""Classes among which one can be an outlier: of two, both are equally far from the median."""


@dataclass(frozen=True)
class OutlierDetector(ModelDetector, ABC):
    """The base of model detectors that flag a model if one of its classes is an outlier; it is not a kind.

    Such a detector has a number for each class, and its score is the largest of their indexes. The cutoff is that of
    the paper (2 for most), or one with a chosen rate of false alarms on models whose classes do not differ but by
    chance. Tables and ``scan model`` state the rate of either.
    """

    cutoff: str = param(
        "2",
        "index above which a class is an outlier (2: as in the papers), or null:X (X false alarms by chance alone)",
        used_by_prepare=False,
    )

    def indexes(self, values: Tensor) -> Tensor:
        """Return how far out each class lies among the others, (..., K) -> (..., K): scaled MADs above the median.

        A detector whose score is another index overrides this. ``values`` are float64 random numbers: shifted or scaled
        ones must have the same indexes.
        """
        from benchkit.ops.outliers import mad_index

        return mad_index(values)

    def outliers(self, indexes: Tensor, scene: Scene) -> tuple[int, ...]:
        """Return the classes whose index, (K,), is above the cutoff: those that a :class:`benchkit.Verdict` names."""
        found: list[int] = (indexes > self.flags_above(scene)).nonzero().flatten().tolist()
        return tuple(found)

    def flags_above(self, scene: Scene) -> float:
        """Return the cutoff for as many classes as the scene has."""
        return index_cutoff(self.cutoff, scene.classes, self.indexes)

    def false_alarm_rate(self, classes: int) -> float | None:
        """Return how often the largest index of as many normal numbers exceeds the cutoff."""
        from benchkit.ops.outliers import false_alarms

        return false_alarms(classes, index_cutoff(self.cutoff, classes, self.indexes), self.indexes)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this detector cannot run with such a cutoff, or among so few classes, or None."""
        if classes < FEWEST_CLASSES:
            return (
                f"{self.name} looks for an outlier among the classes, and there is none among {classes}: use a dataset "
                f"of {FEWEST_CLASSES} classes or more"
            )
        return index_fault(self.cutoff) or super().check(shape, classes)
