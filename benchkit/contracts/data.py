"""The data that plugins exchange with the harness: image splits, sources, and poisoned training sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchkit.errors import ContractError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
"""Named tensors: what ``prepare``, ``draw`` and ``fit`` return and ``scene.prepared`` and ``scene.fitted`` hold."""


@dataclass(frozen=True)
class Split:
    """Labelled images.

    Attributes:
        images: uint8 (N, C, H, W), 0..255.
        labels: int64 (N,), 0..classes-1.
        attributes: by its name, what else is known of each image, such as ``Smiling``: bool (N,). Most datasets have
            none, and defenders never see them.
    """

    images: Tensor
    labels: Tensor
    attributes: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Split:
        return Split(self.images[rows], self.labels[rows], {name: has[rows] for name, has in self.attributes.items()})

    def to(self, device: torch.device | str) -> Split:
        """Return the same split on a device."""
        attributes = {name: has.to(device) for name, has in self.attributes.items()}
        return Split(self.images.to(device), self.labels.to(device), attributes)


class Unlabelled(Split):
    """Clean images without labels: for a defense that declares ``labelled = False``, reading labels is an error."""

    def __init__(self, images: Tensor) -> None:
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "attributes", {})

    @property
    def labels(self) -> NoReturn:
        """Raises ContractError."""
        raise ContractError(
            "this defense says that its clean images have no labels (labelled = False), but used them: leave that out"
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> Unlabelled:
        return Unlabelled(self.images[rows])

    def to(self, device: torch.device | str) -> Unlabelled:
        """Return the same images on a device."""
        return Unlabelled(self.images.to(device))


@dataclass(frozen=True)
class Data:
    """A dataset as loaded.

    Attributes:
        train, test: the two splits.
        classes: the class names, index = label.
        notes: sentences for the user, such as how many files were skipped and why.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a dataset may read: ``root`` is the folder of all datasets; ``download`` allows the network."""

    root: Path
    download: bool = False


@dataclass(frozen=True)
class Poisoned:
    """A poisoned training set: the images, and which of them the attacker changed.

    Attributes:
        data: the whole training set, including poisons and covers.
        mask: bool (N,), True for poisons: images that teach the model the backdoor. Defenders never see it.
        cover: bool (N,), True for covers: images that the attacker changed and whose label stays true. No row is both
            a poison and a cover. Defenders never see it.
    """

    data: Split
    mask: Tensor
    cover: Tensor

    @property
    def changed(self) -> Tensor:
        """The rows that the attacker changed, poisons and covers: bool (N,)."""
        return self.mask | self.cover

    @classmethod
    def replacing(cls, train: Split, rows: Tensor, images: Tensor, labels: Tensor) -> Poisoned:
        """Return ``train`` with poisons: ``rows`` (int64 (M,)) are replaced by ``images`` and ``labels``."""
        new_images, new_labels = train.images.clone(), train.labels.clone()
        new_images[rows], new_labels[rows] = images, labels
        none = new_labels.new_zeros(len(train)).bool()
        mask = none.clone()
        mask[rows] = True
        return cls(Split(new_images, new_labels), mask, none)

    def covering(self, rows: Tensor, images: Tensor) -> Poisoned:
        """Return this set with covers: ``rows`` (int64 (M,)) are replaced by ``images`` and keep their labels."""
        new_images, cover = self.data.images.clone(), self.cover.clone()
        new_images[rows], cover[rows] = images, True
        return Poisoned(Split(new_images, self.data.labels), self.mask, cover)
