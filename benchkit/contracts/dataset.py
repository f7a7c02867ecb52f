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
    """Images with labels. They are decoded once; the harness stores the result and shares it between processes.

    Class attributes:
        embedded: True if the dataset needs no files; such a dataset is the default.
    """

    embedded: ClassVar[bool] = False

    mirror: bool = param(True, "recipes may mirror training images; false where a mirror image is of another class")

    @abstractmethod
    def load(self, source: Source) -> Data:
        """Read (or render) both splits: uint8 (N, C, H, W), int64 labels, all images of one shape.

        Raises:
            DataError: if files are missing or damaged; the message says what to do.
        """

    def fetch(self, source: Source) -> None:
        """Check that the files exist, or download them if ``source`` allows it (default: no files are needed).

        Raises:
            DataError: if files are missing, in one sentence that says what to do.
        """

    def fingerprint(self, source: Source) -> str:
        """Return text that changes when the files of the dataset change (default: there are no files)."""
        return ""


@dataclass(frozen=True)
class UnlabelledFolder(Dataset, ABC):
    """The base of a dataset of all images below a folder, without labels: a scan's ``--clean FOLDER`` stands for it.

    Its ``load`` puts every image into the training split, as class 0 of one, and some of them into the test split.
    """

    root: str = param("", "folder of images; its subfolders count, too")
    size: int = param(32, "side of the square images", ge=8)
