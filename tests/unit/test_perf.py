"""The measurements of benchmarks/perf: each runs, at sizes that take a moment. No time is asserted."""

from __future__ import annotations

import importlib
import json
import math
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from fixture_types import Cli

FOLDER = Path(__file__).parents[2] / "benchmarks" / "perf"
KEYS = {
    "what", "against", "ours", "reference", "ratio", "cpu_ratio", "value", "unit", "goal", "sense", "met", "more",
}  # fmt: skip
FIGURES = {
    "busy": 1,
    "data_path": 2,
    "dct": 3,
    "detector": 2,
    "embedded": 2,
    "ensemble": 2,
    "large": 4,
    "poisoning": 6,
    "scheduling": 4,
    "startup": 4,
    "victim": 2,
}
"""How many figures each topic has."""

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def perf(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let modules of the folder be imported by their names."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("_perf")


@pytest.fixture
def measure(perf: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Measure:
    """Run ``run.py NAMES --quick --out ...`` and return what it wrote."""

    def run(*names: str) -> dict[str, Any]:
        out = tmp_path / "perf.json"
        monkeypatch.setattr(sys, "argv", ["run.py", *names, "--quick", "--out", str(out)])
        runpy.run_path(str(FOLDER / "run.py"), run_name="__main__")
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    return run


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put a handful of images where the curve looks for CIFAR-10."""
    from PIL import Image

    rng = torch.Generator().manual_seed(0)
    for part, count in (("train", 30), ("test", 10)):
        for label in ("cat", "dog"):
            folder = tmp_path / "cifar10-jpeg" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(256, (32, 32, 3), generator=rng, dtype=torch.uint8).numpy()
                Image.fromarray(pixels).save(folder / f"{number}.png")
    monkeypatch.setenv("BENCHKIT_DATA", str(tmp_path))


def check(figure: dict[str, Any]) -> None:
    """A figure has its keys, and numbers that were measured."""
    assert set(figure) == KEYS
    assert all(figure[name] > 0 and math.isfinite(figure[name]) for name in ("ours", "reference", "ratio", "value"))
    assert (figure["met"] is None) == (figure["goal"] is None)


@pytest.mark.parametrize(
    "topic", [pytest.param(one, marks=pytest.mark.slow) if one == "startup" else one for one in FIGURES]
)
def test_a_topic_is_measured_beside_its_reference(
    topic: str, measure: Measure, capsys: pytest.CaptureFixture[str]
) -> None:
    made = measure(topic)
    assert {"machine", "cores", "load", "threads", "torch", "quick"} <= made.keys()
    figures = made["topics"][topic]
    assert len(figures) == FIGURES[topic]
    for figure in figures:
        check(figure)
    table = capsys.readouterr().out
    assert all(figure["what"] in table and figure["against"] in table for figure in figures)


def test_the_matrix_shares_its_victims_and_the_reference_does_not(measure: Measure) -> None:
    (figure,) = measure("matrix")["topics"]["matrix"]
    check(figure)
    # badnets x (none, shrink-pad): its victim and the benign one, against one for each of the two cells
    assert figure["more"]["ours"]["train"]["steps"] == 2
    assert figure["more"]["reference"]["train"]["steps"] == 2
    assert figure["more"]["reference"]["cell"]["steps"] == figure["more"]["ours"]["cell"]["steps"] == 2
    assert "data" not in figure["more"]["reference"]


@pytest.mark.usefixtures("pictures")
def test_the_curve_has_accuracy_and_seconds(measure: Measure) -> None:
    (figure,) = measure("curve")["topics"]["curve"]
    assert figure["unit"] == "s"
    assert 0 <= figure["more"]["c_acc"] <= 1
    assert 0 <= figure["more"]["asr"] <= 1


def test_the_curve_is_skipped_where_its_images_are_not(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCHKIT_DATA", str(tmp_path / "nowhere"))
    assert measure("curve")["topics"] == {}
    assert "skipped, there are no images at" in capsys.readouterr().err


@pytest.fixture
def gpu(perf: ModuleType) -> ModuleType:
    return importlib.import_module("gpu")


TOY = ("--dataset", "toy", "-p", str(Path(__file__).parents[1] / "toy.py"), "--device", "cpu", "--quiet")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_is_left_alone_where_there_is_none(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure("gpu")["topics"] == {}
    assert "gpu: skipped, there is no GPU here" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_gpu_is_measured_with_runs_on_a_cpu(
    gpu: ModuleType, benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:  # here, where torch is awake, and not in a process each
        patch.setattr(gpu, "ran", lambda results, asked: benchkit_cli("run", *asked, "--results", results))
        measured_on_a_cpu(gpu, tmp_path)
    gpu.ran(tmp_path, ("--attacks", "none", "--defenses", "brightest", "--no-victims", *TOY))
    assert [record["status"] for record in gpu.records(tmp_path)] == ["ok"]
    with pytest.raises(RuntimeError, match="there is no attack called 'badnet'"):
        gpu.ran(tmp_path, ("--attacks", "badnet"))


def measured_on_a_cpu(gpu: ModuleType, tmp_path: Path) -> None:
    records = [gpu.victim(tmp_path, recipe, TOY) for recipe in ("fast:epochs=1", "standard:epochs=1")]
    one = gpu.of_victim(*records, goal=30).json()
    check(one)
    assert one["what"].startswith("narrownet, fast:epochs=1: C-Acc ")
    whole = gpu.matrix(tmp_path, "none,badnets", "shrink-pad", ("--recipe", "fast:epochs=1", *TOY)).json()
    check(whole)
    assert whole["more"] == {"cells": 4, "ok": 4, "utilisation": 0}


def test_how_busy_a_gpu_is_is_asked_for_while_it_works(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 40\necho '[N/A]'\necho 60\ntouch asked\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    with gpu.watched() as busy:
        while not (tmp_path / "asked").exists():
            time.sleep(0.01)
    assert busy == [40, 60]


def test_an_unknown_topic_is_refused(measure: Measure, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        measure("dtc")
    assert ended.value.code == 2
    assert "there is no topic 'dtc': there are" in capsys.readouterr().err


def test_a_ratio_is_the_median_over_turns_not_that_of_medians(perf: ModuleType) -> None:
    figure = perf.faster(
        "stamp",
        perf.Seconds([1.0, 2.0, 10.0], [1.0] * 3),
        "loop",
        perf.Seconds([30.0, 20.0, 110.0], [4.0] * 3),
        goal=12,
    )
    assert (figure.ours, figure.reference) == (2.0, 30.0)
    assert figure.ratio == figure.value == 11.0
    assert figure.cpu_ratio == 4.0
    assert figure.met is False


def test_a_bound_is_kept_by_smaller_values(perf: ModuleType) -> None:
    ours, least = (perf.Seconds(seconds, seconds) for seconds in ([0.2, 0.4, 0.3], [0.1, 0.2, 0.15]))
    figure = perf.bounded("walk", ours, "look", least, scale=10, unit="ms", most=5)
    assert figure.value == pytest.approx(3.0)
    assert figure.ratio == pytest.approx(0.5)
    assert figure.met is True


def test_turns_leave_the_first_out_and_go_round(perf: ModuleType) -> None:
    calls: list[str] = []
    taken = perf.turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert [len(seconds.wall) for seconds in taken.values()] == [2, 2]


def test_the_references_poison_as_the_attacks_do(perf: ModuleType) -> None:
    import numpy as np
    from benchkit_plugins.attacks.badnets import BadNets

    poisoning = importlib.import_module("poisoning")
    stack = perf.images(8)
    ours = BadNets().stamp(stack, perf.scene(perf.split(8)))
    theirs = [poisoning.patch(image) for image in stack.permute(0, 2, 3, 1).numpy()]
    assert np.array_equal(np.stack(theirs), ours.permute(0, 2, 3, 1).numpy())
