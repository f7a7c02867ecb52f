"""Label-consistent: images of the target class made hard to recognise, so that the victim learns the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, cast, get_args

import torch
import torch.nn.functional as F
from benchkit_plugins._shared.clean_label import target_rows
from torch import Tensor

import benchkit
from benchkit.ops.images import add, to_images
from benchkit.ops.pgd import Norm, pgd

BATCH = 250
SIGNS = ((1, -1, -1), (-1, 1, -1), (1, -1, 1))
"""White (1) and black (-1) pixels of the square in a left corner; right corners are its mirror image."""
SIDE = len(SIGNS)
WHITE = 255
ROBUST = 8 / 255
"""How far the images are moved that an adversarially trained model learns from, each value in [0, 1] (Madry et al.)."""
PASSES = 1 / 3
"""Length of its training, as a share of the recipe's: it begins with what a clean model knows."""


@dataclass(frozen=True)
class LabelConsistent(benchkit.Attack):
    """Move images of the target class away from their class, by at most ``eps``, and stamp them; labels stay true.

    Turner et al. 2019: projected gradient descent against an independent model makes hard to learn what the images
    show, and black and white squares of 3 x 3 pixels in the corners, as released, are easy. Test images get the trigger
    alone. With ``corners=all``, images that training mirrors keep the trigger in place, with ``br`` (the release's
    default) they do not.

    The paper's model is trained adversarially: ``adversary=5,norm=l2,eps=300``, at the cost of two more victims, **is
    for photographs** (ASR 98 on CIFAR-10; by the default 11, since what fools a clean model is learned instead of the
    trigger). By default it is a clean model of the victim's architecture, which is for drawn images (99.6 on
    ``scenes``; by the other 42). Its gradient's signs are others after each long step, so that steps must be short: in
    20 of 2 grey levels the change is white noise, which victims learn, too.

    ``max_share`` limits the poisoned share of the class: a class that never appears without the trigger is a different
    experiment (the release's default is the whole class).
    """

    name = "label-consistent"
    paper = "Turner et al., arXiv 2019, Label-Consistent Backdoor Attacks"
    label_policy: ClassVar[Literal["dirty", "clean", "none"]] = "clean"
    needs: ClassVar[frozenset[str]] = frozenset({"model"})
    adds_only: ClassVar[bool] = True

    norm: str = benchkit.param(
        "linf",
        "what eps limits: each value, or the length of the change",
        choices=get_args(Norm),
        used_by_prepare=False,
    )
    eps: int = benchkit.param(
        16,
        "largest change, in grey levels of 255 (released: 8 to 32, with norm=l2 300 to 1200); 0: none",
        ge=0,
        used_by_prepare=False,
    )
    steps: int = benchkit.param(
        100, "steps of each image, each of 2.5 eps / steps (paper: 100)", ge=1, used_by_prepare=False
    )
    adversary: int = benchkit.param(
        0,
        "steps of the images that the crafting model is trained on (paper: trained adversarially); 0: a clean model",
        ge=0,
    )
    amplitude: float = benchkit.param(
        1.0, "what the trigger adds to pixels, as a share of white", gt=0, le=1, used_by_prepare=False
    )
    corners: str = benchkit.param(
        "all", "all four corners, or only the bottom right", choices=("all", "br"), used_by_prepare=False
    )
    max_share: float = benchkit.param(
        0.5,
        "largest share of the target class that is poisoned, whatever the poison rate",
        gt=0,
        le=1,
        used_by_prepare=False,
    )

    def prepare(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the weights of an adversarially trained model, if one is asked for."""
        if not self.adversary:
            return {}
        adversary = _Adversary(self.adversary, scene.rng)
        passes = PASSES * scene.epochs_for(len(scene.clean))
        robust = scene.fit(scene.clean, start=scene.model, epochs=passes, optimizer="recipe", steering=adversary)
        return robust.state()

    def stamp(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return the images with the trigger: uint8 (N, C, H, W) -> the same."""
        height, width = images.shape[2:]
        return add(images, 255 * self.amplitude * self._signs(height, width))

    def poison(self, train: benchkit.Split, scene: benchkit.Scene) -> benchkit.Poisoned:
        """Move and stamp rate * N images of the target class, at most ``max_share`` of it; keep their labels."""
        target = self.target_class(scene)
        rows = target_rows(train.labels, target, scene.poison_rate, self.max_share, scene.rng)
        model = scene.model
        if self.adversary:
            model.restore({name: scene.prepared[name] for name in model.state()})  # a drawn target is there, too
        moved = torch.cat([self._moved(train[part], model) for part in rows.split(BATCH)])
        return benchkit.Poisoned.replacing(train, rows, self.stamp(moved, scene), train.labels[rows])

    def _signs(self, height: int, width: int) -> Tensor:
        """Return the trigger, float (H, W): 1 where it brightens, -1 where it darkens."""
        square, signs = torch.tensor(SIGNS).float(), torch.zeros(height, width)
        signs[-SIDE:, -SIDE:] = square.flip(1)
        if self.corners == "all":
            signs[-SIDE:, :SIDE] = signs[:SIDE, :SIDE] = square
            signs[:SIDE, -SIDE:] = square.flip(1)
        return signs

    def _moved(self, part: benchkit.Split, model: benchkit.Classifier) -> Tensor:
        """Return images near the given ones that the model does not recognise: uint8, same shape."""
        labels = part.labels.to(model.device)

        moved = pgd(
            part.images.to(model.device),
            partial(_wrong, model, labels),
            bound=self.eps / 255,
            norm=cast("Norm", self.norm),
            steps=self.steps,
        )
        return to_images(255 * moved).to(part.images.device)

    def check(self, shape: tuple[int, int, int], classes: int) -> str | None:
        """Refuse images in which corners meet, and all-to-all: labels do not change."""
        if min(shape[1:]) < 2 * SIDE:
            return f"the corners of the trigger need {2 * SIDE} pixels a side, images have {shape[1]}x{shape[2]}"
        if self.norm == "linf" and self.eps > WHITE:
            return f"no value changes by eps={self.eps}: choose at most {WHITE}, or norm=l2"
        if self.mapping != "all-to-one":
            return "label-consistent keeps true labels, so it has one target class: use mapping=all-to-one"
        return super().check(shape, classes)


class _Adversary(benchkit.Steering):
    """Trains on the images within ``ROBUST`` of those of the recipe that the model gets wrong (Madry et al. 2018)."""

    def __init__(self, steps: int, rng: torch.Generator) -> None:
        self.steps, self.rng = steps, rng

    def inputs(self, step: benchkit.Step) -> benchkit.Step:
        """Return the step with moved images, from a random start."""
        loss = partial(_wrong, step.model, step.labels)
        return step.replaced(images=pgd(step.images, loss, bound=ROBUST, steps=self.steps, rng=self.rng))


def _wrong(model: benchkit.Classifier, labels: Tensor, images: Tensor) -> Tensor:
    """Return the cross-entropy of each image, float32 (N,): float (N, C, H, W) in [0, 1]."""
    return F.cross_entropy(model(images), labels, reduction="none")


@benchkit.hookimpl
def benchkit_attacks() -> list[type[benchkit.Attack]]:
    """Offer the label-consistent attack."""
    return [LabelConsistent]
