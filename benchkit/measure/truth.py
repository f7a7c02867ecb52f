"""What only the measurement of a cell knows; no plugin code ever receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from benchkit.contracts.scene import Scene
from benchkit.measure.population import Verdicts

if TYPE_CHECKING:
    from benchkit.contracts.data import Poisoned, Split


class Stamped(NamedTuple):
    """Test images that an attacker wants to turn.

    Attributes:
        rows: int64 (M,), their rows in the test split.
        images: uint8 (M, C, H, W) with the trigger.
        wanted: int64 (M,), the label the attacker wants for each.
        control: uint8 (M, C, H, W), processed like ``images`` but without the trigger.
    """

    rows: Tensor
    images: Tensor
    wanted: Tensor
    control: Tensor


@dataclass(frozen=True)
class GroundTruth:
    """The trigger, the target, the test set, and what was found out about the victim.

    Attributes:
        benign: the attack implants nothing, so nothing triggered exists.
        plain: the victim was trained by the benchmark's recipe, not by the attacker.
        shortfall: in what the crafting of the trigger ended below what was asked, or None.
        test: the clean test split; on a benign row, as its processing left it.
        rows: int64 rows of ``test`` that were stamped: those whose label is not the attacker's wish.
        triggered: uint8, ``test.images[rows]`` with the trigger.
        wanted: int64, the label the attacker wants for each of them.
        control: uint8, the same images with the stamp's processing but without the trigger.
        train: the training set the defender is given, and the poison mask (kinds that see it).
        judged: predictions of the undefended victim (``clean``, ``triggered``, ``control``) and of the benign one
            (``benign_triggered``, ``benign_clean``); empty without victims.
        audited: what a model detector came to about this victim, or a population of its like.
        benign_audited: what it came to about benign ones.
    """

    benign: bool
    test: Split
    rows: Tensor
    triggered: Tensor
    wanted: Tensor
    control: Tensor
    train: Poisoned | None = None
    plain: bool = True
    shortfall: str | None = None
    judged: dict[str, Tensor] = field(default_factory=dict)
    audited: Verdicts = field(default_factory=lambda: Verdicts([], []))
    benign_audited: Verdicts = field(default_factory=lambda: Verdicts([], []))


SceneFor = Callable[..., Scene]
"""``scene_for(purpose)``: a fresh defender's scene whose rng depends only on the seed and the purpose."""
Predict = Callable[[Tensor], Tensor]
"""Maps uint8 images (N, C, H, W) to labels, int64 (N,)."""
PROBE = 16
"""Images that are judged twice under one seed, to prove that a defense repeats itself."""
