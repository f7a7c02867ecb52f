"""Triggers reduced to a block of frequencies and rescaled, and victims trained on them as ``benchkit run`` does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal, NamedTuple, cast

import _common as common
import click
import torch
from torch import Tensor

from benchkit import Attack, AttackWrapper, BenchkitError, Data, Scene, Split, param
from benchkit.contracts import checks
from benchkit.contracts.data import Tensors
from benchkit.measure.rates import mean
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.ops.frequency import band_mask, dct2, idct2
from benchkit.protocol import generator, victim_rows
from benchkit.spec.registry import Registry
from benchkit.spec.spec import poison_rates, recipe
from benchkit.training.trainer import Trainer

BANDS = ("high", "low")
KS, TRAIN_KS, ENERGY_K = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32), (4, 10, 16, 24), 10
NOTHING = 1e-5
"""A block that holds less than this share of a change's L2 norm holds the rounding errors of the DCT."""


def lengths(change: Tensor) -> Tensor:
    """Return the L2 norm of each image's change on the scale of [0, 1]: grey levels (N, C, H, W) -> (N, 1, 1, 1)."""
    norms: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
    return norms / 255


@dataclass(frozen=True)
class Band(AttackWrapper):
    """Another attack's change, reduced to a k x k block of its spectrum and brought to a length.

    ``x + s IDCT(M * DCT(y - x))`` per channel, with x clean, y stamped, M the block, and s a factor for each image.
    A block without anything of the change in it stays empty. The sum is clipped and rounded to 8 bits, so the L2
    norm of what is left may be another.
    """

    name = "band"
    paper = "Rao et al., ICLR 2024, Rethinking CNN's Generalization to Backdoor Attack from Frequency Domain"

    band: str = param("full", "the highest or lowest frequencies, or all", choices=("high", "low", "full"))
    k: int = param(10, "side of the block that is kept", ge=1)
    norm: str = param("own", "keep the block's L2 norm, or scale to the full change's or to energy",
                      choices=("own", "full", "fixed"))  # fmt: skip
    energy: float = param(1.0, "L2 norm on the scale of [0, 1] with norm=fixed", gt=0)

    def canonical(self, shape: tuple[int, int, int]) -> Band:
        """Return the wrapper that stands for all of the same block: both bands end in the full spectrum."""
        side = max(shape[1:])
        return replace(self, band="full", k=side) if self.k >= side else self

    def rework(self, clean: Tensor, stamped: Tensor, scene: Scene) -> Tensor:
        """Return the clean images with the kept part of the change: uint8 (N, C, H, W) -> the same."""
        change = stamped.float() - clean.float()
        kept = change if self.band == "full" else self._masked(change)
        return (clean.float() + kept * self._factor(change, kept)).clamp(0, 255).round().to(torch.uint8)

    def _masked(self, change: Tensor) -> Tensor:
        height, width = change.shape[-2:]
        mask = band_mask(height, width, self.k, cast(Literal["low", "high"], self.band))
        return idct2(dct2(change) * mask.to(change.device))

    def _factor(self, change: Tensor, kept: Tensor) -> Tensor:
        full, own = lengths(change), lengths(kept)
        wanted = {"own": own, "full": full, "fixed": torch.full_like(own, self.energy)}[self.norm]
        return torch.where(own > NOTHING * full, wanted / own.clamp(min=1e-12), 0.0)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a block larger than the spectrum, and what cannot be wrapped."""
        if self.base.benign:
            return f"{self.base} implants no trigger, so there is no change to filter: name an attack"
        if self.band != "full" and self.k > min(shape[1:]):
            return f"k={self.k} is more than images of {shape[1]}x{shape[2]} pixels have: make it smaller"
        fault = super().check(shape, classes)
        # What is wrapped was named without base., unless it wraps another one itself.
        return fault if fault is None or isinstance(self.base, AttackWrapper) else fault.replace("base.", "")


class Case(NamedTuple):
    """A victim and what it is tested on; ``shown`` is the block that the row is about."""

    direction: str
    trained: Band
    tested: Band
    shown: Band


class Asked(NamedTuple):
    """What to vary; what is empty or 0 stands for a default, as far as the images have so many frequencies."""

    k: tuple[int, ...]
    train_k: tuple[int, ...]
    energy_k: int
    energy: tuple[float, ...]

    def within(self, side: int) -> Asked:
        """Return the same with defaults filled in."""
        ks, train = (tuple(k for k in all_of if k <= side) for all_of in (KS, TRAIN_KS))
        return Asked(self.k or ks, self.train_k or train, self.energy_k or min(ENERGY_K, side), self.energy)


def cases(attack: Attack, asked: Asked, side: int) -> list[Case]:
    """Return all that is measured of one attack."""
    full = Band(base=attack, k=side)
    block = partial(Band, base=attack)
    made = [Case("full", full, full, full)]
    for norm in ("own", "full"):
        tested = [block(band=band, k=k, norm=norm) for band in BANDS for k in asked.k]
        made += [Case("full-to-band", full, one, one) for one in tested]
    for one in [block(band=band, k=k) for band in BANDS for k in asked.train_k]:
        made += [Case("band-to-full", one, full, one), Case("band-to-band", one, one, one)]
    for band in BANDS:
        at = [block(band=band, k=asked.energy_k, norm="fixed", energy=energy) for energy in asked.energy]
        made += [Case("energy", one, one, one) for one in at]
    return made


class Shots(NamedTuple):
    """Test images that an attack stamped: both uint8 (N, C, H, W), and the labels it wants, int64 (N,)."""

    clean: Tensor
    stamped: Tensor
    wanted: Tensor

    def spectrum(self) -> Tensor:
        """Return the mean of |DCT(stamped) - DCT(clean)| over images and channels, of 0-255 pixels: (H, W)."""
        return dct2(self.stamped.float() - self.clean.float()).abs().mean((0, 1))

    def hits(self, victim: Classifier, images: Tensor) -> Tensor:
        """Return for each of the images, which stand in for the stamped ones, if it gets the label: bool (N,)."""
        return victim.logits(images).argmax(1) == self.wanted if len(images) else self.wanted.bool()


@dataclass(frozen=True)
class Lab:
    """Where victims are trained: the data, the splits, scenes and random streams of ``benchkit run``."""

    data: Data
    trainer: Trainer
    seed: int
    poison_rate: float

    @cached_property
    def train(self) -> Split:
        """What victims train on: all but the defenders' reserve."""
        return self.data.train[victim_rows(self.data.train.labels, self.seed)]

    def scene(self, purpose: str, **more: Any) -> Scene:
        """Return what an attacker may have."""
        more = {"rate": self.poison_rate, **more}
        return common.scene_of(self.train, len(self.data.classes), self.seed, "attacker", purpose, **more)

    @cached_property
    def clean_model(self) -> Classifier:
        """The benign victim, trained when it is first asked for."""
        return self.scene("train", trainer=self.trainer).fit(self.train)

    @cached_property
    def surrogate(self) -> Classifier:
        """The attackers' own clean model, which no trigger is judged on; trained when it is first asked for."""
        return self.scene("surrogate", trainer=self.trainer).fit(self.train)

    def craft(self, attack: Attack) -> Tensors:
        """Return what an attack's stamp needs."""
        if attack.learns:
            raise BenchkitError(f"{attack} learns its trigger while it trains a victim, and is stamped before: omit it")
        crafting, none = attack.crafter(), {"rate": None}
        made = crafting.prepare(self.scene("prepare", **none, **self._modelled(attack)))
        return {**made, **crafting.draw(self.scene("draw", **none))}

    def victim(self, attack: Attack, prepared: Tensors) -> Classifier:
        """Let an attack poison the training set, and train on it."""
        modelled = self._modelled(attack)
        poisoned = attack.poison(self.train, self.scene("poison", prepared=prepared, **modelled))
        scene = self.scene("train", prepared=prepared, **(modelled | {"trainer": self.trainer}))
        return checks.trained(attack, attack.train(poisoned, scene), prepared).model

    def _modelled(self, attack: Attack) -> dict[str, Any]:
        return {"granted": self.surrogate.copy(), "trainer": self.trainer} if "model" in attack.needs else {}

    def accuracy(self, victim: Classifier) -> float:
        """Return the clean accuracy on the whole test split."""
        return mean(victim.logits(self.data.test.images).argmax(1) == self.data.test.labels)

    def shots(self, attack: Attack, prepared: Tensors, count: int) -> tuple[Shots, Shots]:
        """Stamp ``count`` random test images of other classes, and the target-class ones met while drawing them.

        Raises:
            BenchkitError: when there are none, or the stamp changes nothing.
        """
        test = self.data.test
        wanted = attack.target_labels(test.labels, self.scene("target", prepared=prepared))
        order = torch.randperm(len(test), generator=generator(self.seed, "memorisation"))
        other = test.labels != wanted
        drawn = order[other[order].cumsum(0) <= count].sort().values
        made = []
        for rows in (drawn[other[drawn]], drawn[~other[drawn]]):
            clean = test.images[rows]
            stamped = attack.stamp(clean.clone(), self.scene("stamp", prepared=prepared)) if len(rows) else clean
            made.append(Shots(clean, checks.images(attack.name, "stamp", clean, stamped), wanted[rows]))
        checks.changes_pixels(attack, made[0].clean, made[0].stamped)
        return made[0], made[1]


def lab_of(data: Data, model: str, how: str, seed: int, rate: str, registry: Registry) -> Lab:
    """Return where victims are trained; refuse a model, a recipe and a rate that do not exist."""
    rates = poison_rates(rate)
    if len(rates) > 1:
        raise click.BadParameter(f"'{rate}' is not one number", param_hint="--poison-rate")
    channels, height, width = data.train.images.shape[1:]
    cpu, hook = torch.device("cpu"), registry.manager.hook.benchkit_model
    build = partial(create, model, len(data.classes), (channels, height, width), cpu, hook)
    build()
    return Lab(data, Trainer(recipe(how), build, cpu), seed, rates[0])


def refuse(bands: list[Band], data: Data) -> None:
    """Raise BenchkitError, in one sentence, for the first wrapper that such images cannot take."""
    channels, height, width = data.train.images.shape[1:]
    for one in bands:
        fault = one.check((channels, height, width), len(data.classes))
        if fault:
            raise BenchkitError(f"{one.base}: {fault}")
