"""--threads, through the command line: workers, records, and the process that scans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fixture_types import Cli, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
ASKED = ("--attacks", "corner", "--defenses", "brightest", "--no-victims", "--jobs", "1", "--device", "cpu")


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give the process back the threads it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("said", "asked", "threads"), [("3", [], 3), ("3", ["--threads", "2"], 2)])
def test_workers_compute_with_the_threads_that_were_asked_for(
    toy_run: Cli,
    records_in: RecordsIn,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    said: str,
    asked: list[str],
    threads: int,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    ran = toy_run(*ASKED, *asked)
    assert ran.code == 0, ran.err
    assert f" by 1 worker x {threads} threads" in ran.err
    assert [one["threads"] for one in records_in(tmp_path / "results")] == [threads]


def test_the_process_that_scans_does_too(scan_images: Cli, stamped_folder: Path) -> None:
    scan_images(stamped_folder, "--threads", "3")
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("command", [["run"], ["scan", "images", "."], ["scan", "model", __file__], ["spectrum"]])
@pytest.mark.parametrize("number", ["0", "-1", "many", "1025", "9" * 20, "9" * 5000])
@pytest.mark.parametrize("option", ["--threads", "--jobs"])
def test_numbers_that_make_no_sense_are_refused(
    benchkit_cli: Cli, command: list[str], option: str, number: str
) -> None:
    ran = benchkit_cli(*command, option, number)
    assert ran.code == 2
    assert f"Invalid value for '{option}'" in ran.err
    assert len(ran.err) < 1000
