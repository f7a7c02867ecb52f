"""What a scene does not have: reading it raises an error that says where it is to be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

from benchkit.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchkit.models.classifier import Classifier


class Absent(Mapping[str, Any]):
    """A placeholder for something that a stage does not have: reading from it raises an error."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __getitem__(self, name: object) -> NoReturn:
        raise ContractError(self.what)

    def __iter__(self) -> Iterator[str]:
        raise ContractError(self.what)

    def __len__(self) -> int:
        raise ContractError(self.what)


PREPARED = Absent("scene.prepared is what prepare() returns, and is not there while it runs: read it in other methods")
FITTED = Absent(
    "scene.fitted is what a defense's fit() returns, and is there in the methods that run after it alone: not in "
    "prepare() or fit() itself, nor in a training filter or robust training, which act before there is a victim"
)
FITS = (
    "is not available in prepare(), draw(), split() and stamp(), whose result all models share: attackers have it in "
    "train(), and with needs = frozenset({'model'}) in prepare() and poison(); defenders in all methods after prepare()"
)
OTHERS = Absent("scene.others is there in a defense's prepare() alone: let prepare() return what you need of it")
SHADOWS = cast(
    "Sequence[Classifier]",
    Absent("scene.shadows is there in a defense's prepare() alone: let prepare() return what you need of it"),
)
