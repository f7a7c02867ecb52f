"""The contract of a Dataset plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchkit.params.component import Component, param

if TYPE_CHECKING:
    from benchkit.contracts.data import Data, Source


@dataclass(frozen=True)
class Dataset(Component, ABC):
    """Images with labels. Decoded once; the harness keeps the result and shares it between processes.

    Class attributes:
        embedded: True where nothing has to be on the disk; such a dataset is used when none is named.
    """

    embedded: ClassVar[bool] = False

    mirror: bool = param(True, "recipes may mirror training images; false where a mirror image is of another class")

    @abstractmethod
    def load(self, source: Source) -> Data:
        """Read (or render) both splits: uint8 (N, C, H, W), int64 labels, all images of one shape.

        Raises:
            DataError: when files are missing or damaged; the message says what to do.
        """

    def fetch(self, source: Source) -> None:
        """Make sure that the files are there, downloading them where ``source`` allows it (default: none are needed).

        Raises:
            DataError: when they are not, in one sentence that says what to do.
        """

    def fingerprint(self, source: Source) -> str:
        """Return text that changes when the files behind the dataset change (default: none are)."""
        return ""
