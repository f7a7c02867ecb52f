"""How long steps took, and how long one like them is expected to take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_steps import step

from benchkit.execute.progress.history import History
from benchkit.store.store import Store


def test_a_step_is_expected_to_take_what_one_like_it_took(history: History) -> None:
    history.learn(step("train", "a", "badnets:size=3"), 10)
    assert history.expected(step("train", "b", "badnets:size=5", seed=4)) == 10
    for other in (step("train", "b", "blend"), step("judge", "b"), step("train", "b", dataset="other")):
        assert history.expected(other) is None


def test_newer_measurements_count_for_half(history: History) -> None:
    history.learn(step("train", "a"), 10)
    history.learn(step("train", "a"), 20)
    assert history.expected(step("train", "a")) == 15


def test_the_number_of_models_in_a_step_counts(history: History) -> None:
    history.learn(step("shadows", "a", numbers=[0, 8]), 10)
    assert history.expected(step("shadows", "b", numbers=[8, 16])) == 10
    assert history.expected(step("shadows", "b", numbers=[128, 192])) is None


def test_an_unknown_step_is_guessed_by_the_mean_of_its_like_then_of_its_stage(history: History) -> None:
    history.learn(step("train", "a", "badnets"), 10)
    history.learn(step("train", "b", "blend"), 20)
    history.learn(step("train", "c", "blend", dataset="large"), 90)
    assert history.guess(step("train", "d", "sig")) == 15
    assert history.guess(step("train", "d", "sig", dataset="other")) == 40
    assert history.guess(step("cell", "d")) is None
    history.learn(step("train", "e", "sig"), 30)
    assert history.guess(step("train", "f", "wanet")) == 20


def test_what_was_learned_is_kept_beside_what_other_runs_learned(tmp_path: Path) -> None:
    first, second = (History(Store(tmp_path), "cuda:0") for _ in range(2))
    first.learn(step("train", "a"), 10)
    second.learn(step("judge", "a"), 2)
    first.save()
    second.save()
    again = History(Store(tmp_path), "cuda:1")
    assert again.expected(step("train", "a")) == 10
    assert again.expected(step("judge", "a")) == 2
    assert History(Store(tmp_path), "cpu").expected(step("train", "a")) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[[1]]", "3", "null", '[["a", 1]]', '[[["a"], "x"]]', '[[["a"], NaN]]', "\x00\xff", "[[null, 1]]"],
)
def test_a_damaged_file_is_an_empty_history(tmp_path: Path, text: str) -> None:
    path = History(Store(tmp_path), "cpu").path
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("latin-1"))
    history = History(Store(tmp_path), "cpu")
    assert not history.seconds
    history.learn(step("train", "a"), 10)
    history.save()
    assert History(Store(tmp_path), "cpu").expected(step("train", "a")) == 10


def test_seconds_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = History(Store(tmp_path), "cpu").path
    path.parent.mkdir(parents=True)
    kind = ["cpu", "train", "toy", "net", "fast", "badnets"]
    path.write_text(json.dumps([[kind, float("nan")], [[*kind[:5], "sig"], -1], [[*kind[:5], "blend"], 7]]))
    assert History(Store(tmp_path), "cpu").seconds == {(*kind[:5], "blend"): 7.0}


def test_a_folder_that_cannot_be_written_costs_only_the_file(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    history = History(Store(tmp_path), "cpu")
    history.learn(step("train", "a"), 10)
    history.save()
    assert history.expected(step("train", "a")) == 10


def test_nothing_is_written_where_nothing_was_learned(history: History) -> None:
    history.save()
    assert not history.path.exists()
