"""Plain fine-tuning beside a repair is as long as the repair's own training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kit_plugins import Retouch
from repairs import Keep, Loop, Tune
from report_records import drawn, record

import benchkit
from benchkit.contracts.steering import Fit
from benchkit.measure.measure import measure
from benchkit.measure.truth import GroundTruth, Retuning
from benchkit.testing.world import world

WORLD = world(3, 16)
ROWS = (WORLD.data.test.labels != 0).nonzero().squeeze(1)


class Watched:
    """A trainer that writes down how long it fine-tunes what."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, float | None]] = []

    def fit(self, data: benchkit.Split, how: Fit | None = None, *, rng: torch.Generator) -> Any:
        how = how or Fit()
        self.calls.append((len(data), how.epochs))
        return how.start or WORLD.victim.copy()

    def epochs_for(self, images: int) -> float:
        return 8.0

    def network(self, data: benchkit.Split, *, rng: torch.Generator) -> Any:
        return WORLD.victim.copy()


def measured(repair: benchkit.ModelRepair, retuned: bool = True) -> tuple[dict[str, float], Watched]:
    """Measure a repair with a trainer that trains nothing; retuning returns the clean model."""
    test, watched = WORLD.data.test, Watched()
    stamped, wanted = WORLD.triggered(test.images[ROWS]), test.labels[ROWS] * 0
    tuning = Retuning(lambda model: WORLD.clean_model, wanted + 1) if retuned else None
    truth = GroundTruth(False, test, ROWS, stamped, wanted, test.images[ROWS], retuning=tuning)

    def scene(purpose: str, *, grant: bool = False) -> benchkit.Scene:
        given = WORLD.defending(repair)
        return benchkit.Scene(
            *(given.classes, given.shape, given.device, given.held, given.rng),
            granted=WORLD.victim.copy(), trainer=watched,
        )  # fmt: skip

    return measure(repair, scene, truth)[0].metrics, watched


@pytest.mark.parametrize(
    ("repair", "calls"),
    [
        (Tune(epochs=6.0), [(64, 6.0), (64, 6.0)]),
        (Tune(epochs=6.0, goes=2), [(64, 3.0), (64, 3.0), (64, 6.0)]),
        (Loop(), [(64, 3.0)]),
        (Keep(), []),
        (Retouch(), [(64, 1), (64, 1.0)]),
    ],
    ids=str,
)
def test_the_control_trains_on_the_same_images_for_as_many_passes(
    repair: benchkit.ModelRepair, calls: list[tuple[int, float]]
) -> None:
    metrics, watched = measured(repair)
    assert watched.calls == calls
    assert ("asr_finetuned" in metrics) == bool(calls)
    assert metrics["asr_retuned_benign"] == 0
    assert metrics["asr_retuned"] < 0.5 < metrics["asr"], "the clean model has no backdoor"
    assert not calls or metrics["asr_finetuned"] == metrics["asr"]


def test_nothing_is_added_where_nobody_asks_for_it() -> None:
    metrics, watched = measured(Tune(epochs=6.0), retuned=False)
    assert watched.calls == [(64, 6.0)]
    assert not [name for name in metrics if "tuned" in name]


def test_tables_set_the_numbers_beside_each_other() -> None:
    found = {"c_acc": 0.9, "asr": 0.03, "asr_retuned": 0.8, "asr_retuned_benign": 0.02}
    told = drawn([record("badnets", "anp", metrics=found)])
    assert "- badnets x anp: ASR 3.0, retuned 80.0; a benign model retuned 2.0\n" in told
    found |= {"asr_finetuned": 0.4, "c_acc_finetuned": 0.91}
    assert "retuned 2.0; plain fine-tuning C-Acc 91.0 / ASR 40.0\n" in drawn([record("badnets", "anp", metrics=found)])
    assert "plain fine-tuning" not in drawn([record("badnets", "anp", metrics={"c_acc": 0.9, "asr": 0.03})])
