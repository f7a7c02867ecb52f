"""ASSET: outliers of skewed data by hand, and wrong labels that only clean images can give away."""

from __future__ import annotations

import dataclasses
from statistics import fmean

import pytest
import torch
from benchkit_plugins.defenses.asset import Asset, class_means, outlyingness
from sklearn.metrics import roc_auc_score

from benchkit.testing import worlds


def auroc(defense: Asset, seed: int, *, poisoned_base: bool = False) -> float:
    """Return how well the suspicion finds wrong labels, with clean images as base or the poisoned set itself."""
    world = worlds.mislabel(0.05, seed=seed)
    scene = world.scene(defense)
    if poisoned_base:
        scene = dataclasses.replace(scene, held=world.poisoned.data)
    return float(roc_auc_score(world.poisoned.mask, defense.suspicion(world.poisoned.data, scene)))


def test_it_ranks_triggered_images_first() -> None:
    world, defense = worlds.patch(2), Asset()
    suspicion = defense.suspicion(world.poisoned.data, world.scene(defense))
    assert roc_auc_score(world.poisoned.mask, suspicion) >= 0.98


@pytest.mark.slow
def test_it_ranks_wrong_labels_first() -> None:
    assert auroc(Asset(), 0) >= 0.9


@pytest.mark.slow
def test_nothing_is_learned_from_a_base_that_is_poisoned_itself() -> None:
    """Without suspects, scores are those of a new model: any order, so this is a mean over seeds."""
    found = [auroc(Asset(epochs=1), seed, poisoned_base=True) for seed in range(8)]
    assert abs(fmean(found) - 0.5) < 0.2


def test_outlyingness_of_symmetric_values_is_that_of_the_usual_whisker() -> None:
    """Of 0, 1, ..., 8 the quartiles are 2 and 6, the medcouple is 0, and the whisker ends at 6 + 1.5 * 4 = 12."""
    found = outlyingness(torch.arange(9.0))
    torch.testing.assert_close(found, (torch.arange(9.0).double() - 4) / 8, check_dtype=False)


def test_values_with_a_long_tail_above_have_a_longer_whisker() -> None:
    skewed = torch.linspace(0, 4, 41).exp()
    assert outlyingness(skewed).max() < 1  # the plain whisker ends below the largest value
    low, middle, high = skewed.quantile(torch.tensor([0.25, 0.5, 0.75]))
    assert (skewed.max() - middle) / (high + 1.5 * (high - low) - middle) > 1


def test_features_are_centred_by_class_and_a_class_without_images_by_all() -> None:
    features, labels = torch.tensor([[1.0, 0.0], [3.0, 0.0], [5.0, 6.0]]), torch.tensor([0, 0, 2])
    expected = torch.tensor([[2.0, 0.0], [3.0, 2.0], [5.0, 6.0]])
    torch.testing.assert_close(class_means(features, labels, 3), expected)
