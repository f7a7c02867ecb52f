"""BaDExpert: a model that has kept nothing but the backdoor judges inputs, beside one that has lost it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from benchkit_plugins._shared.halves import drawn_halves

import benchkit

if TYPE_CHECKING:
    from torch import Tensor

EXPERT, SHADOW = "expert ", "shadow "
LEAST = 1e-8
TRIES = 6
"""Learning rates that are tried."""


@dataclass(frozen=True)
class BaDExpert(benchkit.InputDetector):
    """Unlearn the task, so that only the backdoor is left; unlearn the backdoor; compare what both say of an input.

    Xie et al. 2024. The expert is the victim, fine-tuned on clean images with wrong labels (y + 1) until its accuracy
    on them is below ``floor``. The shadow is the victim, fine-tuned on them with right labels. For the victim's
    prediction of an input, with probability x in the expert's eyes and y in the shadow's, the score is
    ``-min(2 y / x, (1 - x) / (0.5 - y))``, 0.5 - y at least 1e-8: highest where the expert agrees and the shadow does
    not.

    The released code decides on test images when to stop, and sets the threshold with them; here both follow from the
    clean images that the defender holds. Weights of another scale need larger steps: the learning rate is the first of
    1, 4, 16 and more times ``unlearn_lr`` that gets below the floor. As in the released code, batch normalisation goes
    on learning meanwhile; the recipe's label smoothing is in both losses, too.
    Both models learn from one half of them, and the other sets the threshold:
    images that the shadow has learned look less suspicious than new ones.
    """

    name = "badexpert"
    paper = "Xie et al., ICLR 2024, BaDExpert: Extracting Backdoor Functionality for Accurate Backdoor Input Detection"
    needs = frozenset({"model"})

    floor: float = benchkit.param(0.2, "accuracy on the clean images below which unlearning stops", gt=0, lt=1)
    unlearn_lr: float = benchkit.param(
        0.0001, "learning rate of the unlearning, Adam (released: 0.0001); four times it where it is too small", gt=0
    )
    unlearn_epochs: int = benchkit.param(150, "most passes of the unlearning (released: 1, of 2,500 images)", ge=1)
    shadow_lr: float = benchkit.param(
        0.05, "learning rate at the start of the shadow's fine-tune (released: 0.1)", gt=0
    )
    shadow_epochs: float = benchkit.param(10, "passes of the shadow's fine-tune (released: 10)", gt=0)

    def fit(self, scene: benchkit.Scene) -> benchkit.Tensors:
        """Return the weights of both models."""
        expert, shadow = self._expert(scene), self._shadow(scene)
        states = ((EXPERT, expert.state()), (SHADOW, shadow.state()))
        return {prefix + name: weight for prefix, state in states for name, weight in state.items()}

    def calibration(self, scene: benchkit.Scene) -> Tensor:
        """Return the scores of the clean images that neither model has learned."""
        return self.score(drawn_halves(scene.clean)[1].images, scene)

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        """Return how much more the expert trusts the victim's prediction than the shadow does, float32 (N,)."""
        said = scene.model.logits(images).argmax(1, keepdim=True)
        expert, shadow = (_restored(scene, prefix) for prefix in (EXPERT, SHADOW))
        x, y = (model.logits(images).double().softmax(1).gather(1, said).squeeze(1) for model in (expert, shadow))
        ratios = 2 * y / x.clamp(min=LEAST), (1 - x) / (0.5 - y).clamp(min=LEAST)
        return -torch.minimum(*ratios).float()

    def _expert(self, scene: benchkit.Scene) -> benchkit.Classifier:
        clean = drawn_halves(scene.clean)[0]
        wrong = benchkit.Split(clean.images, (clean.labels + 1) % scene.classes)
        for more in range(TRIES):
            expert = scene.fit(
                wrong, start=scene.model, epochs=self.unlearn_epochs, lr=self.unlearn_lr * 4**more, optimizer="adam",
                steering=Until(clean, self.floor),
            )  # fmt: skip
            if (known := _accuracy(expert, clean)) < self.floor:
                return expert
        raise benchkit.BenchkitError(
            f"after {self.unlearn_epochs} passes the expert still classifies {100 * known:.0f} % of its clean images "
            "correctly: raise unlearn_epochs"
        )

    def _shadow(self, scene: benchkit.Scene) -> benchkit.Classifier:
        return scene.fit(drawn_halves(scene.clean)[0], start=scene.model, epochs=self.shadow_epochs, lr=self.shadow_lr)


class Until(benchkit.Steering):
    """Takes no more steps once the accuracy on some images, which each pass begins with, is below a floor.

    It is one training whose optimizer keeps its state: where the images are one batch, trainings of a pass each would
    start it anew with every step.
    """

    def __init__(self, data: benchkit.Split, floor: float) -> None:
        self.data, self.floor, self.done = data, floor, False

    def gradients(self, step: benchkit.Step) -> Tensor:
        """Leave gradients, or none: then the optimizer changes nothing."""
        if step.epoch.is_integer():
            self.done = self.done or _accuracy(step.model, self.data) < self.floor
        return torch.zeros((), device=step.images.device) if self.done else super().gradients(step)


def _accuracy(model: benchkit.Classifier, data: benchkit.Split) -> float:
    return float((model.logits(data.images).argmax(1).to(data.labels.device) == data.labels).double().mean())


def _restored(scene: benchkit.Scene, prefix: str) -> benchkit.Classifier:
    """Return one of the two models that ``fit`` left."""
    model = scene.model.copy()
    model.restore({name.removeprefix(prefix): kept for name, kept in scene.fitted.items() if name.startswith(prefix)})
    return model


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer BaDExpert."""
    return [BaDExpert]
