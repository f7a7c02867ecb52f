"""What can only be seen on a CUDA device; skipped where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fixture_types import Cli, RecordsIn
from torch import nn

from benchkit.contracts.data import Split
from benchkit.ops.frequency import dct2
from benchkit.training.ensemble import fit_many
from benchkit.training.recipes import Mntd
from benchkit.training.trainer import Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_a_run_on_the_gpu_measures_what_it_measures_on_the_cpu(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        ran = toy_run(
            "--attacks", "none,corner", "--defenses", "brightest,fine-tuning", "--model", "narrownet",
            "--device", device, results=tmp_path / device,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        found[device] = {(one["attack"], one["defense"]): one for one in records_in(tmp_path / device)}
    assert found["cpu"].keys() == found["cuda"].keys()
    for cell, record in found["cuda"].items():
        assert record["device"] == torch.cuda.get_device_name()
        assert record["metrics"]["peak_device_mb"] > 0
        assert record["metrics"].get("auroc") == pytest.approx(found["cpu"][cell]["metrics"].get("auroc"), abs=0.01)
    assert json.dumps(found["cuda"]["corner", "none"])


def test_the_dct_on_the_gpu_is_the_one_on_the_cpu() -> None:
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(dct2(images.cuda()).cpu(), dct2(images), rtol=1e-4, atol=1e-2)


def test_models_stacked_on_the_gpu_have_the_weights_of_one_training_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In bfloat16, or in cuDNN's TF32, sums in another order differ by 1e-3 and more.
    monkeypatch.setattr("benchkit.models.classifier.compute_dtype", lambda device: torch.float32)
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", False)
    rng = torch.Generator().manual_seed(0)
    splits = []
    for size in (64, 96, 64, 48):
        labels = torch.randint(0, 3, (size,), generator=rng)
        images = torch.randint(0, 100, (size, 3, 16, 16), generator=rng) + 50 * labels[:, None, None, None]
        splits.append(Split(images.byte(), labels))

    def small() -> nn.Module:
        maps = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2)
        return nn.Sequential(*maps, nn.Flatten(), nn.Linear(72, 3))

    trainer = Trainer(Mntd(epochs=3, batch=16), small, torch.device("cuda"))

    def rngs() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(number) for number in range(len(splits))]

    alone = fit_many(trainer, splits, rngs(), stacked=1)
    for stacked in (None, 2):
        for one, other in zip(alone, fit_many(trainer, splits, rngs(), stacked=stacked), strict=True):
            assert other.head.weight.is_cuda
            theirs = other.state()
            for name, value in one.state().items():
                torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=1e-3)
    assert (alone[0].head.weight - alone[1].head.weight).abs().max() > 0.01


ASSERTING = '''
from dataclasses import dataclass

import torch

import benchkit


@dataclass(frozen=True)
class Asserting(benchkit.InputDetector):
    """Looks where there is nothing: a failed assertion on the device, after which its process can use it no more."""

    name = "asserting"

    def score(self, images, scene):
        torch.zeros(2, device=scene.device)[torch.full((1,), 5, device=scene.device)]
        return images.float().mean((1, 2, 3))


@benchkit.hookimpl
def benchkit_defenses():
    return [Asserting]
'''


def test_a_step_that_breaks_the_device_for_its_process_fails_alone(
    toy_run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(ASSERTING)
    defenses = ("--defenses", "asserting,brightest,fine-tuning:epochs=1", "-p", plugin)
    ran = toy_run("--attacks", "none,corner", *defenses, "--device", "cuda", "--jobs", "1")
    assert ran.code == 1, ran.err
    found = {(one["attack"], one["defense"]): one["status"] for one in records_in(tmp_path / "results")}
    assert len(found) == 8
    assert {cell for cell, status in found.items() if status != "ok"} == {
        ("none", "asserting"),
        ("corner", "asserting"),
    }


def test_what_was_prepared_on_a_cpu_serves_a_gpu(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    asked = ("--attacks", "corner", "--defenses", "freq-detector:rounds=1", "--no-victims")
    for device in ("cpu", "cuda"):
        ran = toy_run(*asked, "--device", device)
        assert ran.code == 0, ran.err
        for path in (tmp_path / "results" / "results").rglob("*.json"):
            path.unlink()  # the cell is measured again; what it needs is there
