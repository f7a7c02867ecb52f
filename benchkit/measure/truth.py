"""The data that only the measurement of a cell may see; plugin code never receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from benchkit.contracts.scene import Scene
from benchkit.measure.population import Verdicts

if TYPE_CHECKING:
    from benchkit.contracts.data import Poisoned, Split
    from benchkit.contracts.verdict import Verdict
    from benchkit.models.classifier import Classifier


class Others(NamedTuple):
    """Test images of classes that a trigger is not meant for, nor its target.

    Attributes:
        images: uint8 (L, C, H, W) with the trigger.
        wanted: int64 (L,), the label the trigger leads to.
    """

    images: Tensor
    wanted: Tensor


class Stamped(NamedTuple):
    """Test images that an attacker wants to be misclassified.

    Attributes:
        rows: int64 (M,), the indices of their clean twins in the test split as it is for this attack: the same images,
            or others of their classes where the trigger cannot be taken off.
        images: uint8 (M, C, H, W) with the trigger.
        wanted: int64 (M,), the label the attacker wants for each.
        control: uint8 (M, C, H, W), with the same processing but without the trigger.
        others: stamped images of other than the source classes; None if all classes are.
    """

    rows: Tensor
    images: Tensor
    wanted: Tensor
    control: Tensor
    others: Others | None = None


@dataclass(frozen=True)
class Retuning:
    """How a repaired model is put to the test once more.

    Attributes:
        tune: fine-tunes a copy of a model on clean images and a few poisons.
        benign: the labels that the benign victim, tuned in the same way, predicts for the triggered images, int64 (M,).
    """

    tune: Callable[[Classifier], Classifier]
    benign: Tensor


SCORED = "_scores"
"""Under this name scores are kept beside the images of a verdict, none of which begins with an underscore."""


class CleanScores(NamedTuple):
    """What an input detector says of the clean test images: the same for every attack, unless it sees the victim.

    Attributes:
        images: uint8 (N, C, H, W), the clean test images.
        said: the verdict on them; its scores are float64 (N,) on the CPU, higher = more suspicious.
        threshold: the score above which an image is flagged.
    """

    images: Tensor
    said: Verdict
    threshold: float


@dataclass(frozen=True)
class GroundTruth:
    """The trigger, the target, the test set, and the results about the victim.

    Attributes:
        benign: the attack implants nothing, so there are no triggered images.
        natural: the trigger is in images already; ``test`` are those without it.
        plain: the victim was trained by the benchmark's recipe, not by the attacker.
        shortfall: the clause about crafting that did not reach its goal, or None.
        test: the clean test split; on a benign row, after its processing.
        rows: int64, indices of the stamped images in ``test``: those of the source classes whose label is not the
            wanted one.
        triggered: uint8, ``test.images[rows]`` with the trigger.
        wanted: int64, the label the attacker wants for each of them.
        control: uint8, the same images with the stamp's processing but without the trigger.
        others: the stamped images of other than the source classes; None if all classes are.
        train: the training set of the defender, and its poisons and covers (for kinds that see the training set).
        judged: predictions of the undefended victim (``clean``, ``triggered``, ``control``, and ``others`` where there
            are some) and of the benign one (``benign_triggered``, ``benign_clean``); empty without victims.
        scored: what an input detector says of the test images before a benign row's processing (for that kind).
        names: the names of the classes.
        targets: the class to which the trigger of the victim, or of each model of a population, leads; None where it
            leads to several. Empty on benign rows.
        retuning: how what a repair returns is retuned; None where nobody asked for it.
        audited: the results of a model detector for this victim, or for a population like it.
        benign_audited: its results for benign models.
    """

    benign: bool
    test: Split
    rows: Tensor
    triggered: Tensor
    wanted: Tensor
    control: Tensor
    others: Others | None = None
    train: Poisoned | None = None
    plain: bool = True
    natural: bool = False
    shortfall: str | None = None
    judged: dict[str, Tensor] = field(default_factory=dict)
    scored: CleanScores | None = None
    names: tuple[str, ...] = ()
    targets: tuple[int | None, ...] = ()
    retuning: Retuning | None = None
    audited: Verdicts = field(default_factory=lambda: Verdicts([], []))
    benign_audited: Verdicts = field(default_factory=lambda: Verdicts([], []))


SceneFor = Callable[..., Scene]
"""``scene_for(purpose)``: a new scene of the defender; its rng depends only on the seed and the purpose."""
Predict = Callable[[Tensor], Tensor]
"""Maps uint8 images (N, C, H, W) to labels, int64 (N,)."""
PROBE = 16
"""Number of images that are judged twice with one seed, to check that a defense is repeatable."""
