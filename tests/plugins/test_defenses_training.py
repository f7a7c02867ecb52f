"""What cleans training sets or trains without the backdoor: does it find the poison, and spare what is clean?"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from attack_scenes import seeded
from backdoored_toy import CLASSES, TRAIN, accuracy, attack_success, poisoned, scene, victims
from benchkit_plugins.defenses.abl import AntiBackdoorLearning
from benchkit_plugins.defenses.activation_clustering import ActivationClustering
from benchkit_plugins.defenses.spectral_signatures import SpectralSignatures
from steered import step_of
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene
from benchkit.contracts.steering import Fit
from benchkit.models.classifier import Classifier
from benchkit.training.trainer import Trainer

ART = ActivationClustering(suspect="smaller", size=0.35, silhouette=0.1)
PAPER = dataclasses.replace(ART, reduce="ica")
FILTERS = [SpectralSignatures(eps=0.2), ActivationClustering(), ART]


# The default asks for clusters farther apart than those of some victims are.
@pytest.mark.parametrize(("defense", "least"), list(zip(FILTERS, (4, 1, 4), strict=True)), ids=str)
def test_filters_find_the_poison(defense: SpectralSignatures | ActivationClustering, least: int) -> None:
    found, mask, target = 0, poisoned().mask, poisoned().data.labels == 0
    for model in victims():
        dropped = defense.suspicion(poisoned().data, scene(model)) > 0
        precise = bool((dropped & target).any()) and float(mask[dropped & target].float().mean()) > 0.7
        found += bool(precise and float(dropped[mask].float().mean()) > 0.9)
    assert found >= least


@pytest.mark.parametrize("defense", FILTERS, ids=str)
def test_suspicion_follows_the_rows(defense: SpectralSignatures | ActivationClustering, victim: Classifier) -> None:
    order = torch.randperm(len(TRAIN), generator=seeded(9))
    straight = defense.suspicion(poisoned().data, scene(victim)) > 0
    shuffled = defense.suspicion(poisoned().data[order], scene(victim)) > 0
    assert straight.any()
    assert (shuffled != straight[order]).sum() <= 4


@pytest.mark.parametrize(("of", "share"), [("label", 0.15), ("set", 0.5)])
def test_spectral_signatures_drops_its_share_of_every_label(of: str, share: float, benign: Classifier) -> None:
    dropped = SpectralSignatures(eps=0.1, of=of).suspicion(TRAIN, scene(benign)) > 0
    if of == "set":
        share = min(0.5, 1.5 * 0.1 * CLASSES)
    assert [int(dropped[TRAIN.labels == k].sum()) for k in range(CLASSES)] == [int(share * 120)] * CLASSES


def test_spectral_signatures_drops_all_of_its_share(benign: Classifier) -> None:
    """1.5 * 0.3 * 100 is a little less than 45 in floats."""
    hundreds = TRAIN[: 100 * CLASSES]
    dropped = SpectralSignatures(eps=0.3).suspicion(hundreds, scene(benign)) > 0
    assert hundreds.labels[dropped].bincount().tolist() == [45] * CLASSES


def test_spectral_signatures_survives_tiny_labels(benign: Classifier) -> None:
    few = TRAIN[torch.tensor([0, 1, 2, 7, 12])]
    suspicion = SpectralSignatures(eps=1.0).suspicion(few, scene(benign))
    assert suspicion.isfinite().all()
    assert [int((suspicion[few.labels == k] > 0).sum()) for k in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("defense", [ActivationClustering(), dataclasses.replace(PAPER, silhouette=0.25)], ids=str)
def test_activation_clustering_drops_nothing_clean(defense: ActivationClustering, benign: Classifier) -> None:
    assert (defense.suspicion(TRAIN, scene(benign)) > 0).float().mean() < 0.02


@pytest.mark.parametrize("defense", [ActivationClustering(), ART], ids=str)
@pytest.mark.parametrize("change", [{"size": 0.1}, {"silhouette": 50.0}])
def test_activation_clustering_tests_size_and_silhouette(
    defense: ActivationClustering, change: dict[str, Any], victim: Classifier
) -> None:
    strict = dataclasses.replace(defense, **change)
    assert not (strict.suspicion(poisoned().data, scene(victim)) > 0)[poisoned().mask].any()


class Planted:
    """A stand-in model whose features are given: ``poison`` of 200 rows of label 0 point one way of their own."""

    def __init__(self, poison: int) -> None:
        rng = seeded(poison)
        self.labels = torch.arange(4).repeat_interleave(200)
        centres = 12 * torch.eye(64)[self.labels]
        self.mask = torch.arange(800) < poison
        turned = 8 * torch.eye(64)[0] + 8 * torch.eye(64)[9]
        spread = torch.where(self.mask, 0.5, 1.0)[:, None]
        self.found = torch.where(self.mask[:, None], turned, centres) + spread * torch.randn(800, 64, generator=rng)

    def features(self, images: Tensor) -> Tensor:
        return self.found

    def dropped(self, defense: ActivationClustering) -> Tensor:
        train = Split(torch.zeros(800, 3, 4, 4, dtype=torch.uint8), self.labels)
        where = Scene(4, (3, 4, 4), torch.device("cpu"), None, seeded(0), granted=self)  # type: ignore[arg-type]
        return defense.suspicion(train, where) > 0


@pytest.mark.parametrize("poison", [30, 60, 101, 160])
def test_activation_clustering_finds_poison_whatever_its_share(poison: int) -> None:
    """It may be half of its label, as at 10 % of ten classes, or most of it."""
    world = Planted(poison)
    assert torch.equal(world.dropped(ActivationClustering()), world.mask)
    if poison > 100:
        smaller = world.dropped(ActivationClustering(suspect="smaller", size=0.5, silhouette=0.1))
        assert not (smaller & world.mask).any()


def test_activation_clustering_spares_planted_clean_labels() -> None:
    assert not Planted(0).dropped(ActivationClustering()).any()


def test_activation_clustering_has_the_published_rule() -> None:
    """The smaller cluster, at most 35 % of a label: a share of 30 % is found, half of the label is let through."""
    few, half = Planted(60), Planted(100)
    assert torch.equal(few.dropped(ART) & (few.labels == 0), few.mask)
    assert not half.dropped(ART)[half.labels == 0].any()


def test_activation_clustering_drops_the_smaller_cluster_of_every_label_without_both_tests(benign: Classifier) -> None:
    """Half of a label is not enough: the silhouette decides, unless it may be any."""

    def dropped(silhouette: float, train: Split) -> list[int]:
        defense = dataclasses.replace(ART, size=0.5, silhouette=silhouette)
        found = defense.suspicion(train, scene(benign)) > 0
        return [int(found[train.labels == k].sum()) for k in train.labels.unique()]

    assert dropped(0.9, TRAIN) == [0] * CLASSES
    assert all(0 < count <= 60 for count in dropped(-1, TRAIN))
    pair = TRAIN[torch.tensor([0, 5])]  # too few for a silhouette
    assert (dropped(-0.99, pair), dropped(-1, pair)) == ([0], [1])


@pytest.mark.parametrize("defense", [ActivationClustering(), ART, PAPER], ids=str)
def test_activation_clustering_survives_tiny_and_constant_labels(
    defense: ActivationClustering, benign: Classifier
) -> None:
    rows = torch.tensor([0, 0, 0, 0, 1, 2, 7, 3, 8, 13])
    suspicion = defense.suspicion(TRAIN[rows], scene(benign))
    assert suspicion.isfinite().all()
    assert (suspicion[:5] < 0).all()


def test_abl_does_not_learn_the_backdoor() -> None:
    model = AntiBackdoorLearning(isolation=0.03).train(poisoned().data, scene())
    assert attack_success(model) < 0.3
    assert accuracy(model) > 0.9


class Stop(Exception):
    """Ends a training before it begins."""


def test_abl_turns_the_gradient_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one row learned well and one learned badly, both go down where their mean is above gamma, both up below."""
    asked: list[Any] = []

    def fit(self: Trainer, data: Split, how: Fit, **_: Any) -> Classifier:
        asked.append(how.steering)
        raise Stop

    monkeypatch.setattr(Trainer, "fit", fit)
    with pytest.raises(Stop):
        AntiBackdoorLearning(gamma=0.5).train(TRAIN, scene())
    for margin, sign in ((-3.0, 1), (1.0, -1)):
        logits = torch.tensor([[4.0, 0.0], [margin, 0.0]], requires_grad=True)
        labels = torch.tensor([0, 0])
        step = step_of(TRAIN.images[:2], labels, labels)
        (found,) = torch.autograd.grad(step.mean(asked[0].loss(logits, step)), logits)
        (descent,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
        torch.testing.assert_close(found, sign * descent)


def test_abl_spares_a_clean_training_set() -> None:
    assert accuracy(AntiBackdoorLearning().train(TRAIN, scene())) > 0.9
