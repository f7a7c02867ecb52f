"""Disks that are full or read-only, and bits that flip on them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli, Comparable, RecordsIn
from places import Place

from benchkit.store.store import Damaged, Store

FULL = "the disk is full: free some space or choose another folder with --results"


def files(folder: Path) -> dict[Path, bytes]:
    """Return every file below a folder, but for what is remembered of how long steps took."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.parent.name != "timings"}


@pytest.mark.parametrize(
    ("below", "options"),
    [
        ("", "size=128k"),  # the dataset does not fit
        ("", "size=400k"),  # later steps do not
        ("", "size=100m,nr_inodes=24"),  # there is room, but for no more files
        ("results", "size=4k"),  # all artifacts fit, and the record does not
    ],
)
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(
    place: Place,
    mounted: Callable[..., Path],
    remount: Callable[[Path, str], None],
    records_in: RecordsIn,
    below: str,
    options: str,
) -> None:
    mount = mounted(options, place.results / below)
    asked = ["--attacks", place.attack, "--defenses", f"fine-tuning:epochs=1,unlucky:folder={place.folder}"]
    ran = place.run(*asked)
    assert ran.code == 2
    assert [line for line in ran.err.splitlines() if line.startswith("error")] == [
        f"error: cannot write the results folder {place.results}: {FULL}"
    ]
    assert "Traceback" not in ran.err
    assert not place.leftovers()
    before = {path: raw for path, raw in files(place.results).items() if path.name == "tensors.safetensors"}
    remount(mount, "size=100m,nr_inodes=10k")
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    assert [one["status"] for one in records_in(place.results)] == ["ok"] * 3
    assert before.items() <= files(place.results).items()
    assert max(place.diary()[what] for what in ("craft 3", "train 3")) <= 2, "more than the step that failed was redone"
    assert not place.leftovers()


def test_a_read_only_folder_can_be_reported_and_listed_but_not_run(
    place: Place, mounted: Callable[..., Path], remount: Callable[[Path, str], None], benchkit_cli: Cli
) -> None:
    mount = mounted("size=100m", place.results)
    asked = place.cell(f"unlucky:folder={place.folder}")
    assert place.run(*asked).code == 0
    writable = benchkit_cli("report", "--results", place.results)
    remount(mount, "ro")
    assert benchkit_cli("report", "--results", place.results) == writable
    assert writable.code == 0
    assert benchkit_cli("cache", "ls", "--results", place.results).code == 0
    before = files(place.results)
    ran = place.run(*place.cell(f"brightest,unlucky:folder={place.folder}"))
    assert ran.code == 2
    sentence = "its file system is read-only: choose another folder with --results"
    assert ran.err.strip() == f"error: cannot write the results folder {place.results}: {sentence}"
    assert files(place.results) == before


@pytest.fixture
def finished(place: Place, records_in: RecordsIn, comparable: Comparable) -> tuple[list[str], list[dict[str, Any]]]:
    """Return (arguments, records) of a finished run."""
    asked = ["--attacks", place.attack, "--defenses", f"head-mean,unlucky:folder={place.folder}"]
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    return asked, [comparable(one) for one in records_in(place.results)]


def flip(path: Path, rng: random.Random) -> None:
    """Flip one bit of a file."""
    raw = bytearray(path.read_bytes())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    path.write_bytes(raw)


def test_any_flipped_bit_of_an_artifact_is_noticed_and_made_again(
    place: Place, finished: tuple[list[str], list[dict[str, Any]]], records_in: RecordsIn, comparable: Comparable
) -> None:
    asked, expected = finished
    rng, store = random.Random(6), Store(place.results)
    kept = place.folder / "kept"
    shutil.copytree(place.results, kept)
    steps = [path.parent.relative_to(store.artifacts) for path in store.artifacts.glob("*/*/manifest.json")]
    assert len(steps) >= 10
    unnoticed = []
    for number in range(200):
        stage, key = rng.choice(steps).parts
        path = store.path(stage, key) / ("manifest.json" if number % 2 else "tensors.safetensors")
        before = (store.meta(stage, key), store.load(stage, key))
        flip(path, rng)
        try:
            after = (store.meta(stage, key), store.load(stage, key))
        except Damaged:
            shutil.copytree(kept / "artifacts" / stage / key, store.path(stage, key))
        else:
            same = before[0] == after[0] and all(one.equal(after[1][name]) for name, one in before[1].items())
            unnoticed += [] if same else [path]
    assert not unnoticed
    shutil.rmtree(store.results)
    for stage in ("data", "judge", "audit", "prepare"):
        flip(next((store.artifacts / stage).glob("*/manifest.json")), rng)
    for stage in ("data", "craft", "train"):
        flip(next((store.artifacts / stage).glob("*/tensors.safetensors")), rng)
    ran = place.run(*asked)
    assert ran.code == 0, ran.err
    assert ran.err.count("is damaged or missing and will be made again") >= 4
    assert "Traceback" not in ran.err
    assert [comparable(one) for one in records_in(place.results)] == expected


def test_a_damaged_record_is_said_by_the_report_and_made_again_by_a_run(
    place: Place, finished: tuple[list[str], list[dict[str, Any]]], benchkit_cli: Cli, records_in: RecordsIn
) -> None:
    asked, _ = finished
    rng, store = random.Random(7), Store(place.results)
    path = next(store.results.rglob("unlucky*/*.json"))
    raw = path.read_bytes()
    spoilt = 0
    for _ in range(60):
        flip(path, rng)
        ran = benchkit_cli("report", "--results", place.results)
        assert ran.code == 0, ran.err
        assert "Traceback" not in ran.err
        try:
            json.loads(path.read_text())
        except ValueError:
            spoilt += 1
            assert path.name in ran.err
        path.write_bytes(raw)
    assert spoilt > 5
    harms = [raw[: len(raw) // 2], b"", b"[]", raw.replace(b'"status"', b'"stauts"'), raw.replace(b"toy", b"tox")]
    # What a report does not read, a run must not count on.
    harms += [json.dumps(json.loads(raw) | edit).encode() for edit in ({"warnings": "mine"}, {"schema": 2})]
    for harm in harms:
        path.write_bytes(harm)
        ran = place.run(*asked)
        assert ran.code == 0, ran.err
        assert "1 step to run" in ran.err
        assert [one["status"] for one in records_in(place.results)] == ["ok"] * 3
