"""TaCT: another attack's trigger that works on images of some classes only, since on others it keeps the label."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

import benchkit

from .badnets import BadNets

AS_MANY = -1.0
"""The value of ``cover_rate`` with which there are as many covers as poisons."""


@dataclass(frozen=True)
class Tact(benchkit.SourceClasses, benchkit.CoverImages, benchkit.AttackWrapper):
    """Teach the trigger of another attack on images of the source classes, and that it means nothing on cover classes.

    Tang et al. 2021: images of one class get trigger and target label, images of cover classes get the trigger and keep
    their label. It is made against defenses that look for one change that turns *every* image, or for poisons whose
    features do not depend on what the images show. ASR is that of images of the source classes; ``asr_others`` is that
    of all others: without covers (``cover_rate=0``) it is high, too.

    Any attack with dirty labels can be the base; its trigger is used, and its own choice of rows is not. Where it finds
    its target only while it is crafted (``smooth``), that may turn out to be a source class or a named cover class,
    which is refused then; ``base.aim=target`` sets it beforehand. At most ``max_share`` of the source classes is
    poisoned: a class that never appears without the trigger is a different experiment. The authors' rates are 0.3 to
    2 %, with as many covers.
    """

    name = "tact"
    paper = (
        "Tang et al., USENIX Security 2021, Demon in the Variant: Statistical Analysis of DNNs for Robust Backdoor "
        "Contamination Detection"
    )

    base: benchkit.Attack = benchkit.nested(BadNets(), "the attack whose trigger is used; base.NAME sets it up")
    covers: str = benchkit.param(
        "all",
        "classes whose images get the trigger and keep their label; all: all but sources and target (released: 5+7)",
    )
    cover_rate: float = benchkit.param(
        AS_MANY,
        "covers, as a share of the training set; 0: none; -1: as many as there are poisons (paper)",
        ge=0,
        le=1,
        auto=AS_MANY,
    )
    max_share: float = benchkit.param(
        0.5, "largest share of the source classes, and of the cover classes, that is stamped", gt=0, le=1
    )

    def rework(self, clean: Tensor, stamped: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images as the base stamps them: uint8 (N, C, H, W)."""
        return stamped

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Stamp and relabel images of the source classes, and stamp images of the cover classes.

        Raises:
            BenchkitError: if the base has found a target that is a source class or a named cover class.
        """
        labels, wanted = train.labels, self.target_labels(train.labels, scene)
        if fault := self._classes_fault(int(wanted[0]), scene.shape, scene.classes):
            raise benchkit.BenchkitError(f"{fault} ({self.base.name} has its target only when it is crafted)")
        rows = self._drawn(self.is_source(labels), scene)
        rows = benchkit.poison_rows(labels, wanted, scene.poison_rate, scene.rng, rows)
        made = benchkit.Poisoned.replacing(train, rows, self.stamp(train.images[rows], scene), wanted[rows])
        covered = self._drawn(self._is_cover(labels) & (labels != wanted), scene)
        rate = int(made.mask.sum()) / len(train) if self.cover_rate == AS_MANY else self.cover_rate
        rows = benchkit.cover_rows(made.mask, rate, scene.rng, covered)
        return made.covering(rows, self.stamp(train.images[rows], scene))

    def _is_cover(self, labels: Tensor) -> Tensor:
        """Return whether these labels are cover classes, or with ``covers=all`` no source classes, bool (N,)."""
        classes = benchkit.class_numbers(self.covers, "covers")
        return torch.isin(labels, labels.new_tensor(classes)) if classes else ~self.is_source(labels)

    def _drawn(self, among: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return ``max_share`` of these rows, drawn, bool (N,)."""
        rows = among.nonzero().squeeze(1)
        order = torch.randperm(len(rows), generator=scene.rng)[: benchkit.share_of(self.max_share, len(rows))]
        chosen = torch.zeros_like(among)
        chosen[rows[order.to(rows.device)]] = True
        return chosen

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a base that keeps labels or trains, all-to-all, and classes that are two things at once."""
        fault = super().check(shape, classes)
        if fault:
            return fault
        if self.base.label_policy != "dirty" or self.base.access != "data":
            return f"{self.name} relabels what it stamps and {self.base.name} does not: wrap badnets, blend or the like"
        crafter = self.base.crafter()  # a wrapper has neither of its own
        if crafter.mapping != "all-to-one" or crafter.target < 0:
            return f"{self.name} has one target class: leave base.mapping and set base.target to a class"
        if self.source == "all":
            return "with source=all no class is left that keeps its label: name the base without tact"
        return self._classes_fault(crafter.target, shape, classes)

    def _classes_fault(self, target: int, shape: tuple[int, int, int], classes: int) -> str | None:
        """Return which class would be two things at once, or is none, with this target; or None."""
        fault = benchkit.Attack.check(replace(self, target=target), shape, classes)
        return fault or self._covers_fault(target, classes)

    def _covers_fault(self, target: int, classes: int) -> str | None:
        try:
            named = benchkit.class_numbers(self.covers, "covers")
        except benchkit.BenchkitError as error:
            return str(error)
        for label in named:
            if label >= classes:
                return f"cover class {label} is not a class: this dataset has {classes} (0 to {classes - 1})"
            if label in self.source_classes() or label == target:
                return f"class {label} cannot be a cover class: it is a source class or the target"
        return None


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer TaCT."""
    return [Tact]
