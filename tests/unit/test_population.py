"""Separation of backdoored from benign models: known values, and what its interval covers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchkit.measure.population import FEWEST, Verdicts, separation

FLOATS = st.floats(-10, 10, allow_nan=False, width=16)


def verdicts(scores: Iterable[float], threshold: float = 0.5) -> Verdicts:
    given = list(scores)
    return Verdicts(given, [threshold] * len(given))


def test_one_pair_is_won_lost_or_tied() -> None:
    for score, auroc in ((2.0, 1.0), (0.0, 0.0), (1.0, 0.5)):
        found = separation(verdicts([score]), verdicts([1.0]))
        assert found["auroc"] == auroc
        assert "auroc_low" not in found


def test_rates_at_the_threshold() -> None:
    found = separation(verdicts([0.1, 0.6, 0.7, 0.9]), verdicts([0.2, 0.3, 0.55, 0.1]))
    assert found["bdr"] == 0.75
    assert found["fpr"] == 0.25
    assert found["acc"] == 0.75
    assert found["models"] == 4
    assert found["score"] == pytest.approx(0.575)


def test_a_benign_row_has_false_alarms_only() -> None:
    assert separation(verdicts([0.1, 0.9]), None) == {"score": 0.5, "models": 2, "fpr": 0.5}


@settings(deadline=None)
@given(st.lists(FLOATS, min_size=FEWEST, max_size=12), st.lists(FLOATS, min_size=FEWEST, max_size=12))
def test_auroc_is_sklearns_and_lies_in_its_interval(scores: list[float], benign: list[float]) -> None:
    from sklearn.metrics import roc_auc_score

    found = separation(verdicts(scores), verdicts(benign))
    truth = [1] * len(scores) + [0] * len(benign)
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, [*scores, *benign]))
    assert found["auroc_low"] - 1e-9 <= found["auroc"] <= found["auroc_high"] + 1e-9
    turned = separation(verdicts([-one for one in scores]), verdicts([-one for one in benign]))
    assert turned["auroc"] == pytest.approx(1 - found["auroc"])


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Normal scores one deviation apart: AUROC is Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = separation(verdicts(rng.normal(1, 1, 24)), verdicts(rng.normal(0, 1, 24)))
        hits += found["auroc_low"] <= 0.7602 <= found["auroc_high"]
    assert 0.88 <= hits / 200 <= 0.99


def test_the_interval_narrows_with_more_models() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for count in (8, 32, 128):
        found = separation(verdicts(rng.normal(1, 1, count)), verdicts(rng.normal(0, 1, count)))
        widths.append(found["auroc_high"] - found["auroc_low"])
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]
