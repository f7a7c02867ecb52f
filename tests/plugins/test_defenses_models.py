"""What repairs or examines models: is the backdoor gone or found, and the accuracy kept?"""

from __future__ import annotations

import math
from statistics import fmean

import pytest
import torch
from attack_scenes import seeded
from backdoored_toy import CLASSES, HOLDOUT, TRAINER, accuracy, attack_success, scene, triggered, victims
from benchkit_plugins.defenses.fine_pruning import FinePruning
from benchkit_plugins.defenses.fine_tuning import FineTuning
from benchkit_plugins.defenses.neural_cleanse import NeuralCleanse, anomaly_index
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene
from benchkit.models.classifier import Classifier
from benchkit.models.create import create
from benchkit.models.networks import PreActBlock

CPU = torch.device("cpu")


def test_fine_tuning_moves_weights_and_keeps_accuracy(victim: Classifier) -> None:
    tuned = FineTuning(epochs=3).repair(scene(victim))
    assert not torch.equal(tuned.head.weight, victim.head.weight)
    assert accuracy(tuned) > 0.95


def test_fine_pruning_removes_backdoors_that_fine_tuning_leaves() -> None:
    pruned = [FinePruning().repair(scene(model)) for model in victims()]
    assert fmean(map(attack_success, pruned)) < 0.8
    assert min(map(accuracy, pruned)) > 0.9
    assert min(attack_success(FineTuning(epochs=20).repair(scene(model))) for model in victims()[:2]) > 0.95


def pruned(model: Classifier) -> Tensor:
    """Return which inputs of the last layer count for nothing, bool (F,)."""
    return model.head.weight.abs().sum(0) == 0


def test_fine_pruning_prunes_dormant_features_first(victim: Classifier) -> None:
    activity = victim.features(HOLDOUT.images).mean(0)
    gone = pruned(FinePruning(epochs=1).repair(scene(victim)))
    assert 0 < gone.sum() < 128
    assert activity[gone].max() <= activity[~gone].min()


def test_fine_pruning_prunes_more_where_more_accuracy_may_go(victim: Classifier) -> None:
    def count(max_drop: float) -> int:
        return int(pruned(FinePruning(max_drop=max_drop, epochs=0.1).repair(scene(victim))).sum())

    assert count(0.0) < count(0.3) < count(0.99) == 127


class Residual(nn.Module):
    """A network of one residual block, whose skip alone carries what the stem sees: a colour each, and the trigger."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, 6, 1)
        self.stem = nn.Sequential(first, nn.ReLU())
        self.block = PreActBlock(6, 6, 1)
        self.fc = nn.Linear(6, 3)
        with torch.no_grad():
            first.weight.copy_(torch.cat([torch.eye(3), torch.ones(3, 3)])[:, :, None, None])
            assert first.bias is not None
            first.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -2.8, -9.0, -9.0]))
            self.block.conv2.weight.zero_()
            self.fc.weight.copy_(torch.cat([20 * torch.eye(3), torch.zeros(3, 3)], 1))
            self.fc.weight[0, 3] = 3000.0
            self.fc.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.fc(self.block(self.stem(x)).mean((2, 3)))
        return answers


def test_fine_pruning_prunes_a_residual_network() -> None:
    """Its last convolution adds nothing: only what reaches the last layer can be pruned."""
    labels = torch.arange(60) % 3
    images = torch.randint(0, 80, (60, 3, 8, 8), generator=seeded(0))
    images[torch.arange(60), labels] += 100
    clean = Split(images.byte(), labels)
    model = Classifier(Residual(), torch.zeros(3), torch.ones(3))

    def answers(images: Tensor) -> list[int]:
        return model.logits(images).argmax(1).tolist()

    assert answers(clean.images) == labels.tolist()
    assert set(answers(triggered(clean.images))) == {0}
    where = Scene(3, (3, 8, 8), CPU, clean, seeded(0), granted=model, trainer=TRAINER)
    model = FinePruning(epochs=0.1, lr=1e-6).repair(where)
    assert pruned(model)[3:].all()
    assert torch.equal(model.head(torch.eye(6))[3:], model.head(torch.zeros(3, 6)))
    assert answers(clean.images) == answers(triggered(clean.images)) == labels.tolist()


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
def test_fine_pruning_prunes_timm_networks(name: str) -> None:
    """A classifier behind a pooled map, and one behind a further layer."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (20, 3, 32, 32), generator=seeded(0)).byte()
    model = Classifier(create(name, 4, (3, 32, 32), CPU), torch.full((3,), 0.5), torch.full((3,), 0.25))
    activity = model.features(images).mean(0)
    where = Scene(4, (3, 32, 32), CPU, Split(images, torch.arange(20) % 4), seeded(0), granted=model, trainer=TRAINER)
    gone = pruned(FinePruning(max_drop=0.9, epochs=0.1).repair(where))
    assert gone.sum() == len(activity) - 1
    assert int(activity.argmax()) == int((~gone).nonzero())


def test_neural_cleanse_finds_the_target(victim: Classifier, benign: Classifier) -> None:
    sizes = NeuralCleanse(batch=8).triggers(scene(victim)).sizes
    assert sizes.shape == (CLASSES,)
    assert int(sizes.argmin()) == 0
    assert sizes[0] < 0.7 * sizes[1:].min()
    assert NeuralCleanse(batch=8).triggers(scene(benign)).sizes[0] > 1.5 * sizes[0]


def test_neural_cleanse_score_is_the_anomaly_index(victim: Classifier) -> None:
    quick = NeuralCleanse(rounds=3, batch=4)
    assert quick.score(scene(victim)).score == anomaly_index(quick.triggers(scene(victim)).sizes)
    assert quick.flags_above(scene(victim)) == 2.0


def test_neural_cleanse_needs_classes_to_tell_an_outlier_among() -> None:
    """Of two sizes the index is the same whatever they are, and under the cut-off."""
    pairs = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    assert all(anomaly_index(sizes) == pytest.approx(1 / 1.4826) for sizes in pairs)
    assert "3 classes or more" in str(NeuralCleanse().check((3, 16, 16), 2))
    assert NeuralCleanse().check((3, 16, 16), 3) is None


def test_neural_cleanse_states_how_often_its_cutoff_is_wrong_by_chance() -> None:
    assert NeuralCleanse().false_alarm_rate(10) == pytest.approx(0.33, abs=0.01)
    assert NeuralCleanse().false_alarm_rate(43) == pytest.approx(0.64, abs=0.01)
    chosen = NeuralCleanse(cutoff="null:0.1")
    assert chosen.false_alarm_rate(10) == pytest.approx(0.1, abs=1e-4)
    assert chosen.flags_above(Scene(10, (3, 8, 8), CPU, HOLDOUT, seeded(0))) == pytest.approx(3.17, abs=0.1)


@pytest.mark.parametrize("cutoff", ["", "two", "0", "-1", "nan", "inf", "null", "null:0", "null:1", "fpr:0.05", "2:2"])
def test_neural_cleanse_refuses_what_is_no_cutoff(cutoff: str) -> None:
    assert f"got '{cutoff}'" in str(NeuralCleanse(cutoff=cutoff).check((3, 16, 16), 10))


def test_neural_cleanse_covers_all_labels_in_chunks(victim: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchkit_plugins.defenses.neural_cleanse.CHUNK_IMAGES", 16)
    sizes = NeuralCleanse(rounds=60, batch=8).triggers(scene(victim)).sizes
    assert len(sizes.unique()) == CLASSES
    assert int(sizes.argmin()) == 0


def test_neural_cleanse_leaves_the_weights_alone(victim: Classifier) -> None:
    where = scene(victim)
    NeuralCleanse(rounds=2, batch=4).score(where)
    pairs = zip(where.model.parameters(), victim.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_neural_cleanse_records_sizes_of_masks_that_succeed() -> None:
    """Black images turn to label 0 above a mean brightness of 0.1: no mask of less than 6.4 of 64 pixels does it."""
    head = nn.Linear(192, 3)
    with torch.no_grad():
        head.weight.zero_()
        head.weight[0] = 100 / 192
        head.bias.copy_(torch.tensor([-10.0, 0.0, 0.0]))
    model = Classifier(nn.Sequential(nn.Flatten(), head), torch.zeros(3), torch.ones(3))
    black = Split(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4).long())
    where = Scene(3, (3, 8, 8), CPU, black, seeded(0), granted=model)
    size = float(NeuralCleanse(lr=0.5, patience=1, init_weight=0.1).triggers(where).sizes[0])
    assert 6.4 <= size < 20


SPREAD = [0.5, 2.5, 4.0, 6.0, 9.0, 12.0, 15.0, 18.0, 20.0, 23.0]
"""A target's size that is a fifth of the next smallest, among labels whose sizes differ by a factor of nine."""


def test_neural_cleanse_tells_an_outlier_on_log_sizes(victim: Classifier) -> None:
    assert anomaly_index(torch.tensor(SPREAD)) < 1
    assert anomaly_index(torch.tensor(SPREAD), log=True) > 3
    assert anomaly_index(torch.tensor([1.0, 10.0, 10.0, 10.0]), log=True) == pytest.approx(math.log(10) / 1e-3)
    even = torch.tensor([8.0, 9.0, 10.0, 11.0, 12.0])
    assert anomaly_index(even, log=True) < 2
    assert anomaly_index(7 * even, log=True) == pytest.approx(anomaly_index(even, log=True))
    quick = NeuralCleanse(rounds=3, batch=4, sizes="log")
    assert quick.score(scene(victim)).score == anomaly_index(quick.triggers(scene(victim)).sizes, log=True)


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


@pytest.mark.parametrize("log", [False, True])
def test_anomaly_index_is_its_formula_to_the_last_digit(log: bool) -> None:
    for count in range(2, 50):
        sizes = torch.rand(count, generator=seeded(count)) * 500 + 0.1
        values = sizes.double().log() if log else sizes.double()
        middle = values.quantile(0.5)
        spread = 1.4826 * (values - middle).abs().quantile(0.5)
        least = 1e-3 if log else 1e-3 * float(middle)
        assert anomaly_index(sizes, log) == float((middle - values.min()) / spread.clamp(min=least))
