"""What a defense may return beside its plain result: numbers of its own, images, and the classes that it suspects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

MOST_IMAGES = 8
"""Images in one verdict."""


@dataclass(frozen=True)
class Verdict:
    """The result of a defense, with more than its plain value; each kind may return either.

    Attributes:
        score: the plain value: what the method of the kind returns otherwise.
        metrics: a finite number for each metric that the defense declares in its class attribute ``metrics``; a share
            (0.5 for 50 %) where the unit is ``%``.
        images: up to 8 named images of the scene's height and width, such as a recovered trigger: uint8, or float in
            [0, 1], (C, H, W) or (1, H, W). A name has lower-case letters, digits, blanks and hyphens.
        classes: the classes that the defense suspects as targets; empty if it suspects none, None if it names none.
        certificate: of robust training alone: maps uint8 images (N, C, H, W) to numbers of training images, int (N,),
            that an attacker may change without changing what the model answers; -1 where it abstains. The harness asks
            it about the test images, which no defense has.
    """

    score: Any
    metrics: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, Tensor] = field(default_factory=dict)
    classes: Sequence[int] | None = None
    certificate: Callable[[Tensor], Tensor] | None = None


def plain(returned: Any) -> Any:
    """Return the plain value of a result, whether it comes in a verdict or not."""
    return returned.score if isinstance(returned, Verdict) else returned
