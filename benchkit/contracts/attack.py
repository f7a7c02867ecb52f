"""The contract of an Attack plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

from benchkit.contracts.data import Poisoned, Split, Tensors
from benchkit.params.component import Component, param
from benchkit.protocol import poison_rows

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.scene import Scene
    from benchkit.models.classifier import Classifier

DRAWN = -1
"""The ``target`` of an attack that draws it."""


@dataclass(frozen=True)
class Attack(Component, ABC):
    """A backdoor attack: ``stamp`` is required, the rest has defaults that follow from it.

    Class attributes:
        access: what the attacker controls: ``data`` (poisons images) or ``training`` (runs the training).
        label_policy: ``dirty`` (poisoned images get the target's label) or ``clean`` (labels stay true).
        needs: ``frozenset({"model"})`` for a clean model of the victim's architecture in ``prepare``. It is trained
            on the same images as the benign victim, from other initial weights and in another order.
        reports: what ``prepare`` says of how it went: names of its results that hold one number, and what each is. A
            record has them among its metrics, behind ``craft_``.
        benign: True for rows that implant nothing: there is no poison, the victim is the benign one, and
            ``stamp`` is what happens to the whole test set before anybody sees it (nothing, for ``none``).
        adds_only: True where ``stamp`` does nothing to a pixel but add to it or replace it. Then the clean image is the
            right control however many pixels change; other stamps that change most of them write ``control``.
    """

    access: ClassVar[Literal["data", "training", "none"]] = "data"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "dirty"
    needs: ClassVar[frozenset[str]] = frozenset()
    benign: ClassVar[bool] = False
    adds_only: ClassVar[bool] = False
    reports: ClassVar[Mapping[str, str]] = MappingProxyType({})

    target: int = param(
        0, "class the trigger leads to; -1: drawn, for each model of a population anew", ge=0, auto=DRAWN
    )
    mapping: str = param(
        "all-to-one",
        "every class to the target, or class y to y + 1",
        choices=("all-to-one", "all-to-all"),
    )

    @abstractmethod
    def stamp(self, images: Tensor, scene: Scene) -> Tensor:
        """Put the trigger on images: uint8 (N, C, H, W) -> a new uint8 tensor of the same shape."""

    def control(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images as ``stamp`` leaves them, but without the trigger: uint8 (N, C, H, W) -> the same.

        A detector that flags these reacts to the processing (rescaling, resampling, re-quantisation), not to the
        trigger. The default returns them as they are: right for a stamp that only adds to pixels or replaces them.
        Where the processing and the trigger cannot be told apart (a warp), it is the same with another trigger.
        """
        return images.clone()

    def prepare(self, scene: Scene) -> Tensors:
        """Craft what ``stamp`` needs, once per dataset, seed (and model, where ``needs`` has it).

        The tensors come back as ``scene.prepared``. ``scene.clean`` is the clean training set.
        """
        return {}

    def draw(self, scene: Scene) -> Tensors:
        """Draw what a victim has for itself: each model of a population anew, while ``prepare`` is run once for all.

        The tensors join those of ``prepare`` in ``scene.prepared``, so names must differ. Where ``target`` is -1 this
        is ``target``, int64 (); an own ``draw`` begins with ``**super().draw(scene)``.
        """
        if self.target != DRAWN:
            return {}
        import torch

        return {"target": torch.randint(scene.classes, (), generator=scene.rng)}

    def crafts(self) -> bool:
        """Return whether anything is crafted or drawn before an image can be stamped."""
        own = type(self)
        return own.prepare is not Attack.prepare or own.draw is not Attack.draw or self.target == DRAWN

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return in what ``prepare`` ended below what was asked of it, or None; every record of it warns of that.

        Args:
            reported: the numbers that ``reports`` names; empty where there are none.
        """
        return None

    def controls_training(self) -> bool:
        """Return whether ``train`` is the attacker's own, not the benchmark's."""
        return type(self).train is not Attack.train

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework what this attack does, or None."""
        return None

    def crafter(self) -> Attack:
        """Return the attack whose ``prepare`` crafts what ``stamp`` needs: this one, unless it wraps another."""
        return self

    def target_class(self, scene: Scene) -> int:
        """Return the class the trigger leads to: ``target``, or the one that was drawn."""
        return int(scene.prepared["target"]) if self.target == DRAWN else self.target

    def target_labels(self, labels: Tensor, scene: Scene) -> Tensor:
        """Return the label the attacker wants for images of these true labels, int64 (N,)."""
        if self.mapping == "all-to-all":
            return (labels + 1) % scene.classes
        return labels.new_full(labels.shape, self.target_class(scene))

    def poison(self, train: Split, scene: Scene) -> Poisoned:
        """Poison the rate's share of N images, rounded down, drawn from non-target classes: stamped, and relabelled.

        N counts the whole training set. Clean-label attacks write their own.
        """
        wanted = self.target_labels(train.labels, scene)
        rows = poison_rows(train.labels, wanted, scene.poison_rate, scene.rng)
        return Poisoned.replacing(train, rows, self.stamp(train.images[rows], scene), wanted[rows])

    def train(self, poisoned: Poisoned, scene: Scene) -> Classifier:
        """Train the victim. Attacks with ``access = "training"`` replace this."""
        return scene.fit(poisoned.data)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this attack cannot run on such images, or None. Called before anything runs."""
        if self.target >= classes:
            return f"target={self.target} is not a class: this dataset has {classes} (0 to {classes - 1})"
        return None
