from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchkit.records.metrics import HEADLINE, METRICS, headline, metric
from benchkit.report.summaries import summarize, t_quantile

NAMES = [
    "c_acc", "asr", "ra", "der", "auroc", "acc", "bdr", "fpr", "tpr_at_1fpr", "tpr_at_5fpr", "c_acc_after",
    "fpr_control", "bdr_net", "auroc_control", "acc_argmax", "bdr_argmax", "fpr_argmax", "fpr_control_argmax",
    "asr_after", "auroc_low", "auroc_high", "models", "asr_clean_model", "asr_control", "psnr", "ssim", "linf", "l2",
    "precision", "recall", "cover_recall", "target_found", "certified_acc", "certified_radius", "poisoned",
    "covered", "score", "seconds", "peak_mb", "peak_device_mb",
    "asr_others", "asr_retuned", "asr_retuned_benign", "asr_finetuned", "c_acc_finetuned",
]  # fmt: skip


def test_every_metric_of_the_protocol_is_defined_once() -> None:
    assert sorted(METRICS) == sorted(NAMES)
    assert len({known.title for known in METRICS.values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_explains_itself(name: str) -> None:
    known = METRICS[name]
    assert known.name == name
    assert known.title in known.legend()
    assert known.about in known.legend()
    assert ("%" in known.legend().split(":")[0]) == (known.percent or "%" in known.title)


def test_directions_are_the_defenders() -> None:
    lower = {name for name in NAMES if METRICS[name].better == "lower"}
    alarms = {"fpr", "fpr_control", "fpr_argmax", "fpr_control_argmax"}
    assert lower == alarms | {"asr", "asr_after", "asr_retuned", "seconds", "peak_mb", "peak_device_mb"}
    neither = {name for name in NAMES if METRICS[name].better == "neither"}
    assert neither == {
        "asr_clean_model",
        "asr_control",
        "auroc_low",
        "auroc_high",
        "models",
        "poisoned",
        "asr_others",
        "asr_retuned_benign",
        "asr_finetuned",
        "c_acc_finetuned",
        "covered",
        "cover_recall",
        "score",
        "psnr",
        "ssim",
        "linf",
        "l2",
    }


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("asr", 0.9876, "98.8"),
        ("auroc", 1.0, "100.0"),
        ("seconds", 1.234, "1.23"),
        ("peak_mb", 20480.4, "20480"),
        ("seconds", 999.7, "1000"),
        ("bdr_net", -0.0002, "0.0"),
        ("seconds", -0.0, "0"),
    ],
)
def test_values_are_written_in_their_unit(name: str, value: float, text: str) -> None:
    assert metric(name).text(value) == text


def test_a_plugins_own_metric_is_shown_as_it_is() -> None:
    own = metric("purity")
    assert (own.title, own.percent, own.better, own.text(0.25)) == ("purity", False, "neither", "0.25")


@pytest.mark.parametrize("kind", HEADLINE)
def test_headlines_judge_by_auroc_or_asr_and_on_the_benign_row_by_cost(kind: str) -> None:
    detector = {"input detector": ("bdr_net", "auroc"), "model detector": ("auroc",)}.get(kind)
    assert headline(kind, benign=False) == (detector or ("c_acc", "asr"))
    assert headline(kind, benign=True) == (("fpr",) if detector else ("c_acc",))


@pytest.mark.parametrize(
    ("df", "quantile"),
    [
        (1, 12.706204736432095),
        (2, 4.302652729911275),
        (3, 3.182446305284263),
        (4, 2.7764451051977987),
        (5, 2.570581835636314),
        (9, 2.2621571627409915),
        (30, 2.0422724563012373),
        (1000, 1.9623390808264078),
    ],
)
def test_t_quantiles_are_the_tabled_ones(df: int, quantile: float) -> None:
    assert t_quantile(df) == pytest.approx(quantile, rel=1e-10)


def test_three_seeds_get_an_interval_and_two_do_not() -> None:
    # Values 1, 2, 3: standard deviation 1, standard error 1 / sqrt(3), 4.3027 of them.
    three = summarize([1.0, 2.0, 3.0])
    assert (three.mean, three.n) == (2.0, 3)
    assert three.ci95 == pytest.approx(4.302652729911275 / math.sqrt(3))
    two = summarize([1.0, 2.0])
    assert (two.mean, two.ci95, two.n) == (1.5, None, 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).flatmap(lambda v: st.tuples(st.just(v), st.permutations(v))))
def test_a_summary_does_not_depend_on_the_order_of_seeds(pair: tuple[list[float], list[float]]) -> None:
    values, shuffled = pair
    assert summarize(values) == summarize(shuffled)


def test_the_report_loads_nothing_heavy() -> None:
    heavy = ["torch", "numpy", "scipy", "sklearn", "rich", "benchkit_plugins"]
    code = f"import benchkit.cli.report, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_equal_values_have_no_spread() -> None:
    assert summarize([0.1 + 0.2] * 3).ci95 == 0
    assert summarize([3.884013961] * 7).ci95 == 0
