"""What repairs or examines models: is the backdoor gone or found, and the accuracy kept?"""

from __future__ import annotations

import pytest
import torch
from backdoored_toy import CLASSES, HOLDOUT, TEST, accuracy, attack_success, scene, triggered
from benchkit_plugins.defenses.fine_pruning import FinePruning
from benchkit_plugins.defenses.fine_tuning import FineTuning
from benchkit_plugins.defenses.neural_cleanse import NeuralCleanse, anomaly_index
from torch import Tensor

from benchkit.models import Classifier


def test_fine_tuning_moves_weights_and_keeps_accuracy(victim: Classifier) -> None:
    tuned = FineTuning(epochs=3).repair(scene(victim))
    assert not torch.equal(tuned.head.weight, victim.head.weight)
    assert accuracy(tuned) > 0.95


def last_maps(model: Classifier, images: Tensor) -> Tensor:
    """Return each channel's largest activation behind the last convolution's BatchNorm and ReLU."""
    with torch.no_grad():
        return model.net[:7](model.normalised(images)).amax(dim=(0, 2, 3))  # type: ignore[index,operator,no-any-return]


def test_fine_pruning_removes_the_backdoor(victim: Classifier) -> None:
    repaired = FinePruning().repair(scene(victim))
    assert attack_success(repaired) < 0.5
    assert accuracy(repaired) > 0.9


def test_fine_pruning_leaves_pruned_channels_at_zero(victim: Classifier) -> None:
    dormant = last_maps(victim, HOLDOUT.images) == 0
    repaired = FinePruning().repair(scene(victim))
    silent = repaired.last_conv.weight.flatten(1).abs().sum(1) == 0
    assert 0 < silent.sum() < 32
    assert silent[dormant].all()
    assert (last_maps(repaired, torch.cat([TEST.images, triggered(TEST.images)]))[silent] == 0).all()
    assert (last_maps(repaired, TEST.images)[~silent] > 0).any()


def test_fine_pruning_prunes_more_where_more_accuracy_may_go(victim: Classifier) -> None:
    def pruned(max_drop: float) -> int:
        repaired = FinePruning(max_drop=max_drop, epochs=0.1).repair(scene(victim))
        return int((repaired.last_conv.weight.flatten(1).abs().sum(1) == 0).sum())

    assert pruned(0.0) < pruned(0.3) < pruned(0.99) == 31


def test_neural_cleanse_finds_the_target(victim: Classifier, benign: Classifier) -> None:
    sizes = NeuralCleanse(batch=8).trigger_sizes(scene(victim))
    assert sizes.shape == (CLASSES,)
    assert int(sizes.argmin()) == 0
    assert sizes[0] < 0.7 * sizes[1:].min()
    assert NeuralCleanse(batch=8).trigger_sizes(scene(benign))[0] > 1.5 * sizes[0]


def test_neural_cleanse_score_is_the_anomaly_index(victim: Classifier) -> None:
    quick = NeuralCleanse(rounds=3, batch=4)
    assert quick.score(scene(victim)) == anomaly_index(quick.trigger_sizes(scene(victim)))
    assert quick.cutoff(scene(victim)) == 2.0


def test_neural_cleanse_needs_classes_to_tell_an_outlier_among() -> None:
    """Of two sizes the index is the same whatever they are, and under the cut-off."""
    pairs = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    assert all(anomaly_index(sizes) == pytest.approx(1 / 1.4826) for sizes in pairs)
    assert "3 classes or more" in str(NeuralCleanse().check((3, 16, 16), 2))
    assert NeuralCleanse().check((3, 16, 16), 3) is None


def test_neural_cleanse_covers_all_labels_in_chunks(victim: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchkit_plugins.defenses.neural_cleanse.CHUNK_IMAGES", 16)
    sizes = NeuralCleanse(rounds=60, batch=8).trigger_sizes(scene(victim))
    assert len(sizes.unique()) == CLASSES
    assert int(sizes.argmin()) == 0


def test_neural_cleanse_leaves_the_weights_alone(victim: Classifier) -> None:
    where = scene(victim)
    NeuralCleanse(rounds=2, batch=4).score(where)
    pairs = zip(where.model.parameters(), victim.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize(
    ("sizes", "index"),
    [
        ([1.0, 8.0, 10.0, 12.0, 14.0], 9 / (1.4826 * 2)),
        ([10.0, 10.0, 10.0, 50.0], 0.0),
        ([2.0, 4.0], 1 / 1.4826),
        ([1.0, 10.0, 10.0, 10.0], 900.0),
    ],
)
def test_anomaly_index(sizes: list[float], index: float) -> None:
    assert anomaly_index(torch.tensor(sizes)) == pytest.approx(index, rel=1e-6)
