"""What befalls a worker, for real: no memory, a signal, a crash, a hang. The cell fails clearly, and later succeeds."""

from __future__ import annotations

from typing import Any

import pytest
from fixture_types import RecordsIn
from places import Place

DEVICE = "out of memory on the device: use fewer slots or a smaller model"
HOST = "out of memory on this machine: use fewer --jobs"
ALWAYS = 99


def failed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["status"] != "ok"]


@pytest.mark.parametrize(
    ("accident", "tries", "status", "words"),
    [
        ("device-full", 2, "failed", DEVICE),
        ("host-full", 2, "failed", HOST),
        ("killed", 3, "failed", "its process died (signal 9, perhaps out of memory: use fewer --jobs)"),
        ("segfault", 3, "failed", "its process died (signal 11)"),
        ("quits", 3, "failed", "its process died (exit code 3)"),
        ("orphan", 3, "failed", "its process died (exit code 4)"),
        ("hang", 1, "timeout", "stopped after 5 s: allow more with --timeout"),
    ],
)
def test_a_worker_that_never_gets_through_fails_its_cell_and_the_next_run_finishes(
    place: Place, records_in: RecordsIn, accident: str, tries: int, status: str, words: str
) -> None:
    asked = place.cell(place.unlucky(accident, ALWAYS))
    if status == "timeout":
        assert place.run(*place.cell("brightest")).code == 0  # what a busy machine takes to start is not the hang
        asked += ["--timeout", "5"]
    ran = place.run(*asked)
    assert ran.code == 1, ran.err
    assert "Traceback" not in ran.err
    assert ran.err.count(words) == tries
    assert place.diary()[f"met {accident}"] == tries
    assert [record[name] for record in failed(records_in(place.results)) for name in ("status", "error")] == [
        status,
        words,
    ]
    (costs,) = (record["costs"] for record in failed(records_in(place.results)))
    assert costs["prepare"]["peak_mb"] > 0
    assert costs["cell"]["seconds"] >= (5 if status == "timeout" else 0)
    assert not place.leftovers()
    place.unlucky(accident, 0)
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    assert not failed(records_in(place.results))
    assert place.diary()[f"prepare {accident}"] == place.diary()["craft 3"] == 1


@pytest.mark.parametrize(("accident", "word"), [("device-full", "oom: "), ("host-full", "oom: "), ("killed", "lost: ")])
def test_one_accident_is_said_and_costs_nothing_else(
    place: Place, records_in: RecordsIn, accident: str, word: str
) -> None:
    ran = place.run(*place.cell(place.unlucky(accident, 1)))
    assert ran.code == 0, ran.err
    assert ran.err.count(f"\n{word}") == 1
    assert [one["status"] for one in records_in(place.results)] == ["ok"]


@pytest.mark.parametrize(("accident", "times"), [("device-full", 1), ("killed", 2)])
def test_the_last_try_is_made_while_nothing_else_runs(place: Place, accident: str, times: int) -> None:
    defenses = f"{place.unlucky('nap', 1)},{place.unlucky(accident, times)}"
    ran = place.run(*place.cell(defenses), "--jobs", "2")
    assert ran.code == 0, ran.err
    lines = (place.folder / "diary").read_text().splitlines()
    assert lines.count(f"met {accident}") == times
    met = len(lines) - 1 - lines[::-1].index(f"met {accident}")
    assert lines.index("survived nap") < lines.index(f"score {accident}", met)
