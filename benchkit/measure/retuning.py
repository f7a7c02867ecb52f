"""What stands beside a repair: its model retuned with a few poisons, and plain fine-tuning of the same length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchkit.contracts.data import Unlabelled
from benchkit.measure.rates import Metrics, mean

if TYPE_CHECKING:
    import torch

    from benchkit.contracts.data import Split
    from benchkit.contracts.scene import Fitter, Scene
    from benchkit.contracts.steering import Fit
    from benchkit.measure.truth import GroundTruth, Retuning
    from benchkit.models.classifier import Classifier


class Counter:
    """Counts the images that a defense trains on with ``scene.fit``, each as often as it is shown."""

    def __init__(self) -> None:
        self.shown = 0.0

    def watching(self, scene: Scene) -> Scene:
        """Return a scene whose trainer is counted."""
        return replace(scene, trainer=_Counted(scene.trainer, self)) if scene.trainer else scene


@dataclass(frozen=True)
class _Counted:
    """A trainer that is counted."""

    trainer: Fitter
    counter: Counter

    def fit(self, data: Split, how: Fit | None = None, *, rng: torch.Generator) -> Classifier:
        epochs = how.epochs if how else None
        self.counter.shown += len(data) * (self.trainer.epochs_for(len(data)) if epochs is None else epochs)
        return self.trainer.fit(data, how, rng=rng)

    def epochs_for(self, images: int) -> float:
        return self.trainer.epochs_for(images)

    def network(self, data: Split, *, rng: torch.Generator) -> Classifier:
        return self.trainer.network(data, rng=rng)


def retuned(repaired: Classifier, retuning: Retuning, truth: GroundTruth) -> Metrics:
    """Return the ASR of a repaired model, and of the benign victim, after retuning."""
    said = retuning.tune(repaired).logits(truth.triggered).argmax(1)
    return {
        "asr_retuned": mean(said == truth.wanted),
        "asr_retuned_benign": mean(retuning.benign == truth.wanted),
    }


def fine_tuned(shown: float, own_epochs: float, scene: Scene, truth: GroundTruth) -> Metrics:
    """Return ASR and C-Acc of the victim after plain fine-tuning on the defender's clean images.

    It is as long as the repair's own training; nothing is returned if the repair did not train, or holds no
    clean images with labels.

    Args:
        shown: images that the repair trained on with ``scene.fit``, each as often as it was shown.
        own_epochs: passes over the clean images in loops of its own.
        scene: of the defender, with the victim and a trainer.
    """
    clean = scene.held
    if clean is None or isinstance(clean, Unlabelled) or not shown + own_epochs:
        return {}
    tuned = scene.fit(clean, start=scene.model, epochs=shown / len(clean) + own_epochs)
    triggered, plain = (tuned.logits(images).argmax(1) for images in (truth.triggered, truth.test.images))
    return {
        "asr_finetuned": mean(triggered == truth.wanted),
        "c_acc_finetuned": mean(plain == truth.test.labels),
    }
