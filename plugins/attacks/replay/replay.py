"""Replay: an attack that was made elsewhere, or before, from its files."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

import benchkit
from benchkit.ops import attackfiles
from benchkit.ops.attackfiles import CONTROL, COVER, POISON, STAMPED

from . import lookup, victim

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = -1
"""The value of ``target`` that stands for the target of the folder."""
ENOUGH = 0.8
"""Share of the poisons that the poison rate asks for which the folder has to have."""


@dataclass(frozen=True)
class Replay(benchkit.Attack):
    """Poison training images, and stamp test images, by replacing them with images from a folder.

    ``benchkit export --to images`` makes such a folder of any attack, ``benchkit import`` of the results of other
    benchmarks. A stamp is a table here: an image is found by its pixels among the clean images that the folder lists,
    and the one that belongs to it takes its place. So the folder fits the dataset that it was made of, whatever the
    seed: poisons of rows that a seed reserves for defenders are left out. The poison rate chooses among the poisons of
    the folder, and cannot exceed their share. Without control images, the control is the clean image.
    """

    name = "replay"
    paper = "results of any tool, docs/replay.md"
    in_all = False

    root: str = benchkit.param("", "folder of benchkit export --to images, or of benchkit import")
    files: str = benchkit.param("", "checksum of the folder's lists; found by itself")
    trained: bool = benchkit.param(
        False, "take the victim from the folder's weights instead of training one", used_by_prepare=False
    )
    target: int = benchkit.param(
        FOLDER, "class the trigger leads to, as the folder says; -1: that one", ge=0, auto=FOLDER
    )

    def __post_init__(self) -> None:
        """Take from the folder what is not given: its checksum and its target are part of keys and of records."""
        if not self.root:
            return
        try:
            found = self._found()
        except benchkit.BenchkitError:  # check says so before anything runs
            return
        for name, asked, told in (
            ("files", "", found.digest),
            ("target", FOLDER, found.about.target),
            ("mapping", "all-to-one", found.about.mapping),
        ):
            if getattr(self, name) == asked:
                object.__setattr__(self, name, told)

    def _found(self) -> attackfiles.AttackFiles:
        return _read(self.root, *_state(_folder(self.root)))

    def _known(self) -> attackfiles.About | None:
        try:
            return self._found().about if self.root else None
        except benchkit.BenchkitError:
            return None

    @property
    def access(self) -> Literal["data", "training", "none"]:  # type: ignore[override]
        """Whoever brings a victim has trained it."""
        return "training" if self.trained else "data"

    @property
    def label_policy(self) -> Literal["dirty", "clean", "none"]:  # type: ignore[override]
        """That of the folder."""
        known = self._known()
        return "clean" if known and known.label_policy == "clean" else "dirty"

    @property
    def cover_rate(self) -> float:  # type: ignore[override]
        """The share of covers in the folder."""
        known = self._known()
        return len(self._found().of(COVER)) / known.train if known else 0.0

    def source_classes(self) -> tuple[int, ...]:
        """Return those of the folder."""
        known = self._known()
        return known.sources if known else ()

    def controls_training(self) -> bool:
        """Return whether the victim comes from the folder."""
        return self.trained

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a folder that is missing, damaged, changed, or of another dataset."""
        if not self.root:
            return "replay needs a folder: write replay:root=PATH"
        try:
            found = self._found()
        except benchkit.BenchkitError as error:
            return str(error)
        return self._misfit(found, shape, classes) or super().check(shape, classes)

    def _misfit(self, found: attackfiles.AttackFiles, shape: tuple[int, int, int], classes: int) -> str | None:
        about = found.about
        if self.files != found.digest:
            return f"the files of {self.root} are not those with the checksum {self.files}: leave files= out"
        if (about.shape, len(about.classes)) != (shape, classes):
            theirs, ours = ("x".join(map(str, one)) for one in (about.shape, shape))
            told = f"{theirs} pixels and {len(about.classes)} classes ({about.dataset})"
            return f"{self.root} is of images with {told}, and these have {ours} and {classes}"
        if self.mapping != about.mapping or (self.target != about.target and self.mapping == "all-to-one"):
            return f"the trigger of {self.root} leads {about.mapping}, to class {about.target}: leave target= out"
        if self.trained and not about.weights:
            return f"{self.root} has no weights: leave trained= out, and a victim is trained"
        return None

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Read the images: those of ``stamped``, ``control`` and ``changed``, each with the digests of clean images."""
        found = self._found()
        changed = found.of(POISON, COVER)
        return {
            **lookup.table(found, "stamped", found.of(STAMPED)),
            **lookup.table(found, "control", found.of(CONTROL)),
            **lookup.table(found, "changed", changed),
            "labels": torch.tensor([one.label for one in changed], dtype=torch.int64),
            "true": torch.tensor([one.true for one in changed], dtype=torch.int64),
            "covers": torch.tensor([one.role == COVER for one in changed], dtype=torch.bool),
        }

    def draw(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Draw nothing: the target is that of the folder."""
        return {}

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the stamped version of each test image: uint8 (N, C, H, W) -> the same.

        Raises:
            DataError: if the folder has none for an image.
        """
        return lookup.replaced(images, scene.prepared, "stamped", self.root)

    def control(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the control version of each image, or the image itself if the folder has none of any."""
        if not len(scene.prepared["control"]):
            return images.clone()
        return lookup.replaced(images, scene.prepared, "control", self.root)

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Replace the training images that the folder has poisons and covers of; all others stay.

        Raises:
            DataError: if they are of another dataset, or fewer than the poison rate asks for.
        """
        made = scene.prepared
        which, rows = lookup.placed(train.images, made["changed_keys"])
        covers = made["covers"][which]
        self._require_labels(train.labels[rows], made["true"][which])
        kept = self._chosen(which[~covers], len(train), scene)
        poisons = torch.isin(which, kept)
        one, at = which[poisons], rows[poisons]
        poisoned = benchkit.Poisoned.replacing(train, at, made["changed"][one], made["labels"][one])
        return poisoned.covering(rows[covers], made["changed"][which[covers]])

    def _require_labels(self, ours: Tensor, theirs: Tensor) -> None:
        if not ours.equal(theirs.to(ours.device)):
            raise benchkit.DataError(
                f"{self.root} has other classes for the same images: it was made of another version of this dataset"
            )

    def _chosen(self, there: Tensor, count: int, scene: benchkit.Scene) -> Tensor:
        """Return as many of the poisons as the poison rate allows, drawn if there are more."""
        most = benchkit.share_of(scene.poison_rate, count)
        if len(there) < ENOUGH * most:
            rate, share = scene.poison_rate, max(len(there) / count, 1e-6)
            raise benchkit.DataError(
                f"{self.root} has poisons for {100 * share:.3g} % of this training set, and {100 * rate:g} % are asked "
                f"for: run with --poison-rate {share:.3g}, if it was made of this dataset"
            )
        order = torch.randperm(len(there), generator=scene.rng).to(there.device)
        return there[order[:most]]

    def train(self, poisoned: benchkit.Poisoned, scene: benchkit.Scene) -> benchkit.Classifier | benchkit.Trained:
        """Return the victim of the folder, or train one."""
        if not self.trained:
            return super().train(poisoned, scene)
        return victim.restored(scene.network(), self._found())


def _folder(root: str) -> Path:
    return Path(os.path.expanduser(root))  # noqa: PTH111 - that of pathlib raises where there is no such user


def _state(root: Path) -> tuple[tuple[int, int], ...]:
    """Return what tells that the lists of a folder have changed."""
    paths = [root / name for name in (attackfiles.ABOUT, attackfiles.ROWS)]
    return tuple((one.stat().st_size, one.stat().st_mtime_ns) if one.is_file() else (0, 0) for one in paths)


@functools.lru_cache(maxsize=4)
def _read(root: str, *_state: tuple[int, int]) -> attackfiles.AttackFiles:
    return attackfiles.read(_folder(root))


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer attacks from files."""
    return [Replay]
