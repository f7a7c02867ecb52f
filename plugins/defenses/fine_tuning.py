"""Fine-tuning: continue to train the victim on clean images, so that it may forget the trigger."""

from __future__ import annotations

from dataclasses import dataclass

import benchkit


@dataclass(frozen=True)
class FineTuning(benchkit.CleanImages, benchkit.ModelRepair):
    """Fine-tune every weight of the victim on the clean hold-out with plain SGD.

    The defaults are BackdoorBench's: 100 epochs, learning rate 0.01. The effect depends on the number and size of the
    steps, and clean images do not tell the defender when to stop: weak fine-tuning keeps the backdoor, strong
    fine-tuning costs clean accuracy.
    """

    name = "fine-tuning"
    paper = "Liu et al., RAID 2018, Fine-Pruning: Defending Against Backdooring Attacks (fine-tuning baseline)"

    epochs: float = benchkit.param(100, "passes over the clean hold-out", gt=0)
    lr: float = benchkit.param(0.01, "learning rate of the SGD fine-tune", gt=0)

    def repair(self, scene: benchkit.Scene) -> benchkit.Classifier:
        """Return the fine-tuned victim."""
        return scene.fit(scene.clean, start=scene.model, epochs=self.epochs, lr=self.lr)


@benchkit.hookimpl
def benchkit_defenses() -> list[type[benchkit.Defense]]:
    """Offer fine-tuning."""
    return [FineTuning]
