"""Attacks that change how any other attack changes images."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from benchkit.components.baseline import NoAttack
from benchkit.contracts.attack import Attack
from benchkit.contracts.data import Poisoned, Split
from benchkit.params.component import nested

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.scene import Scene
    from benchkit.contracts.trained import Trained
    from benchkit.models.classifier import Classifier


@dataclass(frozen=True)
class AttackWrapper(Attack):
    """An attack on top of another one, its parameter ``base``: only ``rework`` is required.

    Everything else comes from the wrapped attack: access, labels, target, crafting (once for the attack and all its
    wrappers), and the choice of poisons and covers.
    """

    in_all = False

    base: Attack = nested(NoAttack(), "the attack that is wrapped; base.NAME=VALUE sets its parameters")

    @abstractmethod
    def rework(self, clean: Tensor, stamped: Tensor, scene: Scene) -> Tensor:
        """Return the final images, given clean ones and those stamped by the wrapped attack: all uint8 (N, C, H, W)."""

    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the wrapped attack's stamped images, reworked."""
        return self.rework(images, self.base.stamp(images, scene), scene)

    def control(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the wrapped attack's control images, reworked."""
        return self.rework(images, self.base.control(images, scene), scene)

    def poison(self, train: Split, scene: Scene) -> Poisoned:
        """Poison with the wrapped attack, and rework the changed images, poisons and covers."""
        made = self.base.poison(train, scene)
        rows, images = made.changed.nonzero().squeeze(1), made.data.images.clone()
        images[rows] = self.rework(train.images[rows], images[rows], scene)
        return replace(made, data=Split(images, made.data.labels))

    def train(self, poisoned: Poisoned, scene: Scene) -> Classifier | Trained:
        """Train the victim as the wrapped attack does."""
        return self.base.train(poisoned, scene)

    def controls_training(self) -> bool:
        """Return whether the wrapped attack has its own training."""
        return self.base.controls_training()

    def crafter(self) -> Attack:
        """Return the crafter of the wrapped attack."""
        return self.base.crafter()

    def target_class(self, scene: Scene) -> int:
        """Return the target of the wrapped attack."""
        return self.base.target_class(scene)

    def source_classes(self) -> tuple[int, ...]:
        """Return the source classes of the wrapped attack."""
        return self.base.source_classes()

    def attributes(self) -> tuple[str, ...]:
        """Return the attributes that the wrapped attack asks for."""
        return self.base.attributes()

    def carries(self, split: Split) -> Tensor:
        """Return which images the wrapped attack can trigger."""
        return self.base.carries(split)

    def target_labels(self, labels: Tensor, scene: Scene) -> Tensor:
        """Return the target labels of the wrapped attack."""
        return self.base.target_labels(labels, scene)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse an attack that cannot be wrapped, and a target, which belongs to the wrapped attack."""
        if self.base.benign:
            return f"{self.name} needs an attack to wrap, and {self.base.name} is none: write base=NAME"
        own = {"target", "mapping"} & self.changed().keys()
        if own:
            return f"the target is that of the wrapped attack: write base.{min(own)} instead of {min(own)}"
        return self.base.why_not_wrappable() or self.base.check(shape, classes)

    def why_not_wrappable(self) -> str | None:
        """Return the answer of the wrapped attack."""
        return self.base.why_not_wrappable()

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """The access of the wrapped attack."""
        return self.base.access

    @property
    def label_policy(self) -> Literal["dirty", "clean", "none"]:  # type: ignore[override]
        """The label policy of the wrapped attack."""
        return self.base.label_policy

    @property
    def cover_rate(self) -> float:  # type: ignore[override]
        """The cover rate of the wrapped attack."""
        return self.base.cover_rate

    @property
    def test_strength(self) -> float:  # type: ignore[override]
        """The test strength of the wrapped attack."""
        return self.base.test_strength

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """The needs of the wrapped attack."""
        return self.base.needs

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """Whether the training of the wrapped attack learns what it stamps."""
        return self.base.learns
