"""The toy world that defenses are tested in, and what all of them keep to."""

from __future__ import annotations

import pytest
import torch
from backdoored_toy import TEST, accuracy, attack_success, poisoned, scene
from benchkit_plugins.defenses.activation_clustering import ActivationClustering
from benchkit_plugins.defenses.fine_pruning import FinePruning
from benchkit_plugins.defenses.strip import Strip
from torch import Tensor

from benchkit.models.classifier import Classifier


def test_toy_backdoor_works(victim: Classifier, benign: Classifier) -> None:
    assert accuracy(victim) > 0.97
    assert attack_success(victim) > 0.95
    assert attack_success(benign) < 0.05


@pytest.mark.parametrize("defense", [Strip(overlays=4), ActivationClustering(), FinePruning(epochs=1)], ids=str)
def test_same_seed_same_answer(defense: Strip | ActivationClustering | FinePruning, victim: Classifier) -> None:
    def answer() -> Tensor:
        if isinstance(defense, Strip):
            return defense.score(TEST.images, scene(victim))
        if isinstance(defense, ActivationClustering):
            return defense.suspicion(poisoned().data, scene(victim))
        return defense.repair(scene(victim)).logits(TEST.images)

    assert torch.equal(answer(), answer())
