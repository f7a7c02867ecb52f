"""What can only be seen on a CUDA device; skipped where there is none."""

from __future__ import annotations

import json

import pytest
import torch

from benchkit.frequency import dct2

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_a_run_on_the_gpu_measures_what_it_measures_on_the_cpu(toy_run, records_in, tmp_path):
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


def test_the_dct_on_the_gpu_is_the_one_on_the_cpu():
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(dct2(images.cuda()).cpu(), dct2(images), rtol=1e-4, atol=1e-2)
