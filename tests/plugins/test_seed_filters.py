"""Deep k-NN and influence functions against direct computations and retrained models."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from benchkit_plugins._shared.softmax import fitted, hessian
from benchkit_plugins.defenses.deep_knn import DeepKnn
from benchkit_plugins.defenses.influence import Influence, standardised
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from benchkit.testing import worlds


def points(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes_of(rows: Tensor, seed: int) -> Tensor:
    """Return labels that follow a noisy direction, half of them 1."""
    noisy = rows[:, 0] + points(len(rows), 1, seed)[:, 0]
    return (noisy > noisy.median()).long()


def test_with_one_neighbour_it_is_the_classifier_of_the_nearest() -> None:
    rows = points(300, 3, 0).float()
    labels = classes_of(rows.double(), 1)
    votes = DeepKnn(k=1).votes(rows, labels, 2)
    for at in range(0, 300, 37):
        others = torch.arange(300) != at
        nearest = KNeighborsClassifier(1).fit(rows[others], labels[others]).predict(rows[at][None])
        assert votes[at].argmax() == nearest[0]


@pytest.mark.parametrize("k", [7, 40])
def test_votes_are_those_of_the_balanced_set(k: int) -> None:
    rows = points(120, 3, 2).float()
    labels = torch.tensor([0] * 90 + [1] * 30)
    repeated, repeated_labels = torch.cat([rows, rows[90:], rows[90:]]), torch.cat([labels, *2 * [labels[90:]]])
    found = DeepKnn(k=k).votes(rows, labels, 2)
    for at in (3, 50, 100):
        distances = (repeated - rows[at]).norm(dim=1)
        distances[distances == 0] = math.inf  # not its own neighbour, nor are its copies
        nearest = distances.argsort()[:k]
        expected = F.one_hot(repeated_labels[nearest], 2).float().mean(0)
        torch.testing.assert_close(found[at], expected, atol=2 / k, rtol=0)  # ties of copies at the end
        assert float(found[at].sum()) == pytest.approx(1, abs=1e-6)


def test_a_balanced_set_votes_as_it_is() -> None:
    rows, labels = points(80, 3, 3).float(), torch.arange(2).repeat(40)
    found = DeepKnn(k=10).votes(rows, labels, 2)
    direct = torch.cdist(rows, rows).fill_diagonal_(math.inf).topk(10, largest=False).indices
    torch.testing.assert_close(found, F.one_hot(labels[direct], 2).float().mean(1))


@pytest.mark.parametrize("k", [1, 20, 50, 400])
def test_poison_that_lies_together_confirms_itself(k: int) -> None:
    assert worlds.cluster(0.05, 6.0).report(DeepKnn(k=k))["recall"] == 0


def test_wrong_labels_are_found_without_a_false_alarm() -> None:
    found = worlds.mislabel(0.05).report(DeepKnn(k=50))
    assert (found["recall"], found["fpr"]) == (1.0, 0.0)


def test_the_fit_is_that_of_a_library() -> None:
    rows = points(200, 5, 4)
    labels = classes_of(rows, 5)
    ours = fitted(rows, labels, 2, damping=0.1)
    theirs = LogisticRegression(C=1 / (0.1 / 2 * 200), fit_intercept=False, tol=1e-10).fit(rows, labels)
    # Two weights per feature, of opposite sign: their difference has twice the penalty's freedom.
    torch.testing.assert_close((ours[1] - ours[0]), torch.from_numpy(theirs.coef_[0]), atol=1e-4, rtol=1e-4)


def test_the_hessian_is_that_of_autograd() -> None:
    rows, labels = points(30, 3, 6), torch.arange(3).repeat(10)
    weights = points(3, 3, 7)

    def loss(at: Tensor) -> Tensor:
        cross: Tensor = F.cross_entropy(rows @ at.view(3, 3).T, labels)
        return cross + 0.05 * at.square().sum()

    expected = torch.autograd.functional.hessian(loss, weights.flatten())
    torch.testing.assert_close(hessian(rows, weights, 0.1), expected)


def test_influence_is_what_leaving_a_row_out_does() -> None:
    """Koh and Liang, figure 2: here of each row on its own loss."""
    rows = points(200, 5, 8)
    labels = classes_of(rows, 9)
    whole = torch.cat([rows, rows.new_ones(200, 1)], dim=1)
    found = Influence(damping=0.1).influences(rows, labels, 2)
    base = fitted(whole, labels, 2, 0.1)
    chosen = list(range(0, 200, 8))
    changes = []
    for at in chosen:
        others = torch.arange(200) != at
        # The mean over 199 rows would count the penalty otherwise: keep the sum's scale.
        without = fitted(whole[others], labels[others], 2, 0.1 * 200 / 199)
        before, after = (F.cross_entropy(whole[at][None] @ one.T, labels[at][None]) for one in (base, without))
        changes.append(float(after - before))
    assert torch.corrcoef(torch.stack([found[chosen], torch.tensor(changes, dtype=torch.float64)]))[0, 1] > 0.99
    assert float(found[chosen].sum()) == pytest.approx(sum(changes), rel=0.1)
    assert float(found.min()) >= 0


def test_wrong_labels_have_the_largest_influence() -> None:
    world = worlds.mislabel(0.05)
    data = world.poisoned.data
    features = standardised(world.model.features(data.images).double(), 32)
    found = Influence().influences(features, data.labels, world.classes)
    assert roc_auc_score(world.poisoned.mask, found) >= 0.95


def test_too_many_classes_are_refused_with_the_components_that_fit() -> None:
    assert Influence().check((3, 32, 32), 43) is None
    assert Influence().check((3, 64, 64), 1000) == (
        "its Hessian for 1000 classes is too large: set components to at most 7"
    )
