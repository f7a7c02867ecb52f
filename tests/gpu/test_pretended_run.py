"""A run on a pretended GPU: every stage of the harness keeps its tensors together, also where there is no GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fixture_types import Cli, RecordsIn

from benchkit.testing.pretended import gpu

TESTS = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real GPU")
def test_every_stage_of_a_run_works_on_a_gpu(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    with gpu():
        ran = toy_run(
            *("--attacks", "none,corner", "--model", "narrownet", "--device", "cuda", "--executor", "inline"),
            *("--defenses", "brightest,fine-tuning,spectral-signatures,cutout,probe"),
            *("--population", "2", "--retune", "-p", TESTS / "shadowy.py"),
        )
    assert ran.code == 0, ran.err
    found = records_in(tmp_path / "results")
    assert len(found) == 12
    assert {(one["status"], one["device"]) for one in found} == {("ok", "a pretended GPU")}
