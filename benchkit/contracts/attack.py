"""The contract of an Attack plugin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from benchkit.contracts.data import Poisoned, Split, Tensors
from benchkit.contracts.sources import class_numbers, sources_fault
from benchkit.params.component import Component, param
from benchkit.protocol import poison_rows
from benchkit.records.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from benchkit.contracts.scene import Scene
    from benchkit.contracts.trained import Trained
    from benchkit.models.classifier import Classifier

DRAWN = -1
"""The value of ``target`` with which an attack draws its target class."""


@dataclass(frozen=True)
class Attack(Component, ABC):
    """A backdoor attack: only ``stamp`` is required; the other methods have defaults based on it.

    Class attributes:
        access: what the attacker controls: ``data`` (poisons images) or ``training`` (runs the training).
        label_policy: ``dirty`` (poisoned images get the target label) or ``clean`` (labels do not change).
        needs: ``frozenset({"model"})`` for a clean model of the victim's architecture, ``scene.model``, in ``prepare``,
            ``poison`` and ``train``: the same one in each. It is trained on the same images as the benign victim, from
            other initial weights and in another order.
        learns: True if ``train`` returns :class:`benchkit.Trained`: the victim, and tensors that ``stamp``, ``control``
            and ``target_labels`` find in ``scene.prepared``. Such a victim is trained also without ``--victims``.
        metrics: those results of ``prepare`` that are one number about its success, by their names. Records hold them
            with the prefix ``craft_``.
        benign: True for rows that implant nothing: there is no poison, the victim is the benign one, and ``stamp`` is
            applied to the whole test set before any use (for ``none``, it does nothing).
        natural: True if the trigger is in images already, as something that they show; only
            :class:`NaturalTrigger` says so.
        adds_only: True if ``stamp`` only adds to pixels or replaces them. Then the clean image is the right control,
            however many pixels change; other stamps that change most pixels must define ``control``.
        cover_rate: share of the training set that ``poison`` turns into covers: 0 unless it derives from
            :class:`CoverImages`.
        test_strength: what ``stamp`` finds as ``scene.strength`` for test images, where it finds 1 in training: 1
            unless it derives from :class:`StrengthAtTest`.
    """

    access: ClassVar[Literal["data", "training", "none"]] = "data"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "dirty"
    needs: ClassVar[frozenset[str]] = frozenset()
    learns: ClassVar[bool] = False
    benign: ClassVar[bool] = False
    natural: ClassVar[bool] = False
    adds_only: ClassVar[bool] = False
    metrics: ClassVar[tuple[Metric, ...]] = ()
    # No annotations: a ClassVar would hide the parameter of the same name in a later base.
    cover_rate = 0.0
    test_strength = 1.0

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
        """Return the images with the trigger: uint8 (N, C, H, W) -> a new uint8 tensor of the same shape.

        It stamps poisons and test images. An attack that stamps the latter harder reads ``scene.strength``.
        """

    def control(self, images: Tensor, scene: Scene) -> Tensor:
        """Return the images with the processing of ``stamp``, but without the trigger: uint8 (N, C, H, W) -> the same.

        A detector that flags these reacts to the processing (rescaling, resampling, re-quantisation), not to the
        trigger. The default returns the images unchanged, which is right for a stamp that only adds to pixels or
        replaces them. If processing and trigger cannot be separated (a warp), the control is the same stamp with
        another trigger.
        """
        return images.clone()

    def prepare(self, scene: Scene) -> Tensors:
        """Craft what ``stamp`` needs, once per dataset and seed (and per model, if ``needs`` includes it).

        The other methods get the tensors as ``scene.prepared``. ``scene.clean`` is the clean training set. An attack
        that declares a model has ``scene.model``, ``scene.fit`` and ``scene.network`` here.
        """
        return {}

    def draw(self, scene: Scene) -> Tensors:
        """Draw what belongs to one victim: it runs for each model of a population, ``prepare`` once for all.

        The tensors are added to those of ``prepare`` in ``scene.prepared``, so names must differ. If ``target`` is -1,
        the base returns ``target``, int64 (), which is no source class; an overriding ``draw`` includes
        ``**super().draw(scene)``.
        """
        if self.target != DRAWN:
            return {}
        import torch

        able = [label for label in range(scene.classes) if label not in self.source_classes()]
        return {"target": torch.tensor(able)[torch.randint(len(able), (), generator=scene.rng)]}

    def crafts(self) -> bool:
        """Return whether anything is crafted or drawn before an image can be stamped."""
        own = type(self)
        return own.prepare is not Attack.prepare or own.draw is not Attack.draw or self.target == DRAWN

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if ``prepare`` did not reach its goal, else None; all records of the attack warn with it.

        Args:
            reported: the numbers that ``metrics`` names; may be empty.
        """
        return None

    def controls_training(self) -> bool:
        """Return whether the attacker trains the victim with its own ``train`` instead of the benchmark's."""
        return type(self).train is not Attack.train

    def why_not_wrappable(self) -> str | None:
        """Return why a wrapper cannot rework this attack, or None."""
        return None

    def crafter(self) -> Attack:
        """Return the attack whose ``prepare`` crafts for ``stamp``: this one, unless it wraps another."""
        return self

    def target_class(self, scene: Scene) -> int:
        """Return the target class: ``target``, or the drawn one."""
        return int(scene.prepared["target"]) if self.target == DRAWN else self.target

    def source_classes(self) -> tuple[int, ...]:
        """Return the classes whose images the trigger is meant for; empty: all but the target.

        ASR, RA, controls and detection are measured on test images of these classes, ``asr_others`` on all others.
        """
        return ()

    def is_source(self, labels: Tensor) -> Tensor:
        """Return whether images with these true labels are of the source classes, bool (N,)."""
        import torch

        sources = self.source_classes()
        return torch.isin(labels, labels.new_tensor(sources)) if sources else torch.ones_like(labels, dtype=torch.bool)

    def attributes(self) -> tuple[str, ...]:
        """Return the names of what the dataset has to say of each image, ``split.attributes``; by default nothing."""
        return ()

    def carries(self, split: Split) -> Tensor:
        """Return which images can be triggered, bool (N,): by default all, since all can be stamped."""
        import torch

        return torch.ones_like(split.labels, dtype=torch.bool)

    def target_labels(self, labels: Tensor, scene: Scene) -> Tensor:
        """Return the labels that the attacker wants for images with these true labels, int64 (N,)."""
        if self.mapping == "all-to-all":
            return (labels + 1) % scene.classes
        return labels.new_full(labels.shape, self.target_class(scene))

    def poison(self, train: Split, scene: Scene) -> Poisoned:
        """Stamp and relabel rate * N images, rounded down, drawn from the source classes without the target.

        N is the size of the whole training set. Clean-label attacks override this.
        """
        wanted = self.target_labels(train.labels, scene)
        among = self.is_source(train.labels) & self.carries(train)
        rows = poison_rows(train.labels, wanted, scene.poison_rate, scene.rng, among)
        return Poisoned.replacing(train, rows, self.stamp(train.images[rows], scene), wanted[rows])

    def train(self, poisoned: Poisoned, scene: Scene) -> Classifier | Trained:
        """Train the victim. Attacks with ``access = "training"`` override this.

        With ``learns = True`` the result is ``benchkit.Trained(model, tensors)``. ``poison`` and ``train`` itself run
        before these tensors are there.
        """
        return scene.fit(poisoned.data)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return why this attack cannot run on such images, or None. Called before anything runs."""
        if self.target >= classes:
            return f"target={self.target} is not a class: this dataset has {classes} (0 to {classes - 1})"
        return sources_fault(self.source_classes, classes, self.target, self.mapping)


@dataclass(frozen=True)
class SourceClasses(Attack, ABC):
    """The base of attacks whose trigger is meant for images of some classes only.

    The inherited ``poison`` stamps images of these classes; one of your own asks ``self.is_source(labels)``. What the
    trigger does to images of other classes is measured apart.
    """

    source: str = param("1", "classes whose images the trigger is meant for, such as 1 or 1+5; all: all but the target")

    def source_classes(self) -> tuple[int, ...]:
        """Return the classes that ``source`` names. Raises SpecError for any other text."""
        return class_numbers(self.source)


@dataclass(frozen=True)
class StrengthAtTest(Attack, ABC):
    """The base of attacks that stamp test images harder than the poisons in training.

    ``stamp`` and ``control`` scale their trigger by ``scene.strength``, which is 1 for poisons. An attack with a factor
    of its own redeclares the parameter with another default.
    """

    test_strength: float = param(
        1.0,
        "strength of the trigger on test images, as a multiple of that in training",
        gt=0,
        used_by_prepare=False,
        used_by_training=False,
    )


@dataclass(frozen=True)
class CoverImages(Attack, ABC):
    """The base of attacks with covers: training images that they change and whose label stays true.

    Covers teach the victim what does not lead to the target: a part of the trigger, another trigger, or the trigger on
    images of other classes. Such an attack defines ``poison``, which draws covers with ``benchkit.cover_rows`` and adds
    them with ``Poisoned.covering``. They are no poisons: they do not count towards the poison rate. A wrapper with
    covers of its own names this base first: ``class Mine(benchkit.CoverImages, benchkit.AttackWrapper)``.
    """

    cover_rate: float = param(
        0.01,
        "images that are changed and keep their true label (covers), as a share of the training set; 0: none",
        ge=0,
        le=1,
        used_by_prepare=False,
    )
