"""Smooth: a low-frequency trigger optimised on a clean model, without high-frequency traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import benchkit

from .deepfool import Outputs, deepfool, descent
from .insertion import LowPassAttack, spread

STALL_SPAN = 0.01


@dataclass(frozen=True)
class Smooth(LowPassAttack):
    """Add the low-pass filtered pattern that changes most predictions of a clean model.

    Zeng et al. 2021, section 5, algorithm 1, as in their code: image by image, the trigger v is moved by the
    perturbation dr that takes x + v to a class (targeted DeepFool), then filtered and rescaled, v <- N(g(v + g(dr))), N
    to [0, amp]. After each pass, the class becomes the most frequent label among changed predictions, and the best v so
    far is kept. The victim's target is that dominant label. The search ends when it fools enough images, like the
    original one, and also after ``max_passes`` (BackdoorBench: 50) or when it fools too few images for a class to
    dominate. BackdoorBench also ends it after five passes without a change: ``stall=5``.
    """

    name = "smooth"
    paper = "Zeng et al., ICCV 2021, Rethinking the Backdoor Attacks' Triggers: A Frequency Perspective"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    metrics = (
        benchkit.Metric(
            "fooling",
            unit="%",
            about="share of a clean model's predictions that the trigger changes, on the images of the search",
        ),
        benchkit.Metric("passes", about="passes over these images that the search took"),
    )

    aim: str = benchkit.param(
        "dominant",
        "the victim's target: the dominant label that the search ends with, or target, which it then keeps to",
        choices=("dominant", "target"),
    )
    start_label: str = benchkit.param("random", "class the search for a dominant label starts from, or random")
    grads: str = benchkit.param(
        "logits",
        "DeepFool on logits, on probabilities (as released; slow where they saturate), or steps of length 1 downhill",
        choices=("logits", "softmax", "plain"),
    )
    gate: str = benchkit.param(
        "released",
        "move the trigger for images not fooled yet (released code), or not in the class yet (paper)",
        choices=("released", "paper"),
    )
    n_images: int = benchkit.param(100, "training images the search uses", ge=1)
    fool: float = benchkit.param(0.2, "share of changed predictions at which the search ends", gt=0, le=1)
    dom_frac: float = benchkit.param(0.05, "share of changed predictions above which their mode is taken", ge=0, le=1)
    max_passes: int = benchkit.param(50, "passes over the images after which the search ends", ge=1)
    stall: int = benchkit.param(
        0, "end, too, when the last so many passes differ by less than 1 % in changed predictions; 0: never", ge=0
    )
    fruitless: int = benchkit.param(
        2, "end, too, after so many passes in a row that change no more predictions than dom_frac; 0: never", ge=0
    )
    overshoot: float = benchkit.param(0.02, "how far DeepFool goes beyond the boundary, as a share", ge=0)
    df_iter: int = benchkit.param(200, "most steps of DeepFool per image", ge=1)

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Search for the trigger.

        Returns ``trigger``, float32 (C, H, W), which spans [0, amp]; ``label``, int64 (), its dominant label;
        ``fooling``, float64 (), the share of predictions it changed; ``passes``, int64 ().

        Raises:
            BenchkitError: if no image could be perturbed, for example because all probabilities are 0 or 1.
        """
        rows = torch.randperm(len(scene.clean), generator=scene.rng)[: self.n_images]
        images = scene.clean.images[rows.to(scene.clean.images.device)].to(scene.device) / 255
        found = _Search(self, scene.model, images, scene.rng, self._start(scene)).run()
        if not found["trigger"].any():
            label = int(found["label"])
            raise benchkit.BenchkitError(
                f"smooth found no trigger towards class {label}: try another start_label, or grads=plain"
            )
        return found

    def shortfall(self, reported: Mapping[str, float]) -> str | None:
        """Return a clause if the search changed less than ``fool``: the dominant label may be the starting label."""
        return f"it changes less than {self.fool:.0%} of predictions" if reported["fooling"] < self.fool else None

    def target_labels(self, labels: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the target label for images of these labels, int64 (N,): by default the dominant one."""
        if self.aim == "dominant" and self.mapping == "all-to-one":
            return torch.full_like(labels, int(scene.prepared["label"]))
        return super().target_labels(labels, scene)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse a starting label that is not a class, and labels that ``aim`` does not use."""
        word = self.start_label
        if word != "random" and not (word.isdecimal() and int(word) < classes):
            return f"start_label={word} is not a class: write random, or a class from 0 to {classes - 1}"
        return self._unused() or self._undecided() or super().check(shape, classes)

    def _unused(self) -> str | None:
        """Return the sentence for a label without effect: two specs would name one experiment."""
        given = self.changed()
        if self.aim == "target" and "start_label" in given:
            return f"start_label={self.start_label} is not used, as aim=target starts from the target: leave it out"
        if self.aim == "dominant" and self.mapping == "all-to-one" and "target" in given:
            return f"target={self.target} is not used, as the search chooses it: add aim=target, or leave it out"
        return None

    def _undecided(self) -> str | None:
        """Return the sentence for a target that would be drawn after the search for its trigger."""
        if self.aim == "target" and self.target < 0:
            return "aim=target searches a trigger for one class: give target=, and not -1"
        return None

    def _start(self, scene: benchkit.Scene) -> int:
        if self.aim == "target":
            return self.target
        drawn = int(torch.randint(scene.classes, (), generator=scene.rng))
        return drawn if self.start_label == "random" else int(self.start_label)


def _probabilities(model: benchkit.Classifier) -> Outputs:
    return lambda images: model(images).softmax(1)


class _Search:
    """The state of algorithm 1: the trigger, its label, and the model's predictions on the clean images."""

    def __init__(
        self, attack: Smooth, model: benchkit.Classifier, images: Tensor, rng: torch.Generator, label: int
    ) -> None:
        self.attack, self.images, self.rng, self.label = attack, images, rng, label
        self.model = model.copy().requires_grad_(requires_grad=False)  # gradients of weights are not needed
        self.outputs = _probabilities(self.model) if attack.grads == "softmax" else self.model
        self.clean: list[int] = model.logits(images).argmax(1).tolist()
        self.trigger = torch.zeros_like(images[0])

    def run(self) -> benchkit.Tensors:
        """Return the best trigger of all passes and its label."""
        best: dict[str, Tensor] = {}
        rates: list[float] = []
        while not self._over(rates):
            for row in torch.randperm(len(self.images), generator=self.rng).tolist():
                self._update(row)
            rates.append(self._judge())
            if rates[-1] >= max(rates):
                fooling = torch.tensor(rates[-1], dtype=torch.float64)
                best = {"trigger": self.trigger, "label": torch.tensor(self.label), "fooling": fooling}
        return {**best, "passes": torch.tensor(len(rates))}

    def _over(self, rates: list[float]) -> bool:
        """Return whether the search ends, given the share of changed predictions per pass."""
        stall, fruitless = self.attack.stall, self.attack.fruitless
        last = rates[-stall:]
        stuck = 0 < stall <= len(rates) and round(max(last) - min(last), 6) < STALL_SPAN
        in_vain = 0 < fruitless <= len(rates) and max(rates[-fruitless:]) <= self.attack.dom_frac
        enough = bool(rates) and (rates[-1] >= self.attack.fool or len(rates) >= self.attack.max_passes)
        return enough or stuck or in_vain

    def _update(self, row: int) -> None:
        pull = self._pull(self.images[row] + self.trigger, self._gate(self.clean[row]))
        # While the trigger is zero, an image that is already in the class gives nothing to rescale.
        if pull is not None and (self.trigger.any() or pull.any()):
            moved = self.attack.blurred(self.trigger + self.attack.blurred(pull))
            self.trigger = spread(moved, self.attack.amp)

    def _gate(self, clean: int) -> Callable[[int], bool]:
        if self.attack.gate == "paper":
            return lambda answer: answer != self.label
        return lambda answer: answer == clean

    def _pull(self, image: Tensor, gate: Callable[[int], bool]) -> Tensor | None:
        if self.attack.grads == "plain":
            return descent(self.outputs, image, self.label, gate)
        overshoot, steps = self.attack.overshoot, self.attack.df_iter
        return deepfool(self.outputs, image, self.label, gate, overshoot=overshoot, steps=steps)

    def _judge(self) -> float:
        """Return the share of changed predictions, and update the label to their most frequent one."""
        answers = self.model.logits(self.images + self.trigger).argmax(1).cpu()
        changed = answers[answers != torch.tensor(self.clean)]
        fooling = len(changed) / len(answers)
        if self.attack.aim == "dominant" and fooling > self.attack.dom_frac:
            self.label = int(changed.bincount().argmax())
        return fooling


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer Smooth."""
    return [Smooth]
