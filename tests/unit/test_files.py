"""Every door reads regular files of bounded size, waits for no pipe, and says what it did not look into."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from report_records import record

from benchkit import DataError, Source
from benchkit.errors import BenchkitError, StoreError
from benchkit.files import Passed, opened, walk
from benchkit.files import read as read_file
from benchkit.records.metrics import METRICS
from benchkit.report.load import read
from benchkit.report.published.numbers import read_published
from benchkit.scan.weights import read_weights
from benchkit.spec.registry import load
from benchkit.spec.suite import read_suite

pytestmark = pytest.mark.timeout(60)
HUGE = 2**40


def test_a_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_file(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, at most 4 are read"):
        read_file(tmp_path / "x", 4)
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert read_file(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError), opened(tmp_path / "link", 5, links=False):  # noqa: PT011 - its text is the system's
        pass


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_a_file_that_says_it_is_empty_and_is_not_is_refused() -> None:
    with pytest.raises(OSError, match="grows while it is read"):
        read_file("/proc/self/status", 2**20)


def test_a_walk_sorts_and_counts_and_never_goes_in_circles(tmp_path: Path) -> None:
    for name in ("b/2.x", "b/1.x", "a/deep/3.x", "z.x", ".hidden/4.x", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "gone.x").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.x").symlink_to(tmp_path / "self.x")
    os.mkfifo(tmp_path / "pipe.x")
    passed = Passed()
    found = list(walk(tmp_path, lambda name: name.endswith(".x"), passed))
    assert [one.path for one in found if not one.fault] == ["z.x", "a/deep/3.x", "b/1.x", "b/2.x"]
    assert [one.path for one in found if one.fault] == ["gone.x", "self.x"]
    assert (passed.hidden, passed.others, passed.odd, passed.links) == (1, 1, 1, 1)
    strict = Passed()
    assert len(list(walk(tmp_path, lambda name: name.endswith(".x"), strict, links=False))) == 4
    assert strict.links == 3


def results(tmp_path: Path) -> Path:
    for attack in ("badnets", "blend"):
        folder = tmp_path / "results" / attack
        folder.mkdir(parents=True)
        (folder / "seed0-abc.json").write_text(json.dumps(record(attack, "strip")))
    return tmp_path


def test_a_report_waits_for_no_pipe_and_reads_no_file_of_any_size(tmp_path: Path) -> None:
    folder = results(tmp_path) / "results" / "badnets"
    os.mkfifo(folder / "seed1-abc.json")
    (folder / "seed2-abc.json").touch()
    os.truncate(folder / "seed2-abc.json", HUGE)
    (folder / "seed3-abc.json").symlink_to("/dev/zero")
    found, said = read(tmp_path)
    assert sorted(one.attack for one in found) == ["badnets", "blend"]
    assert "ignored 1 file that is not a benchkit record of schema 1: results/badnets/seed2-abc.json" in said[0]
    assert said[1] == "not read, so their records are missing here: 2 that are neither a file nor a folder"


def test_a_folder_that_cannot_be_listed_costs_its_own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real, closed = results(tmp_path), os.scandir, "blend"
    (root / "results" / "away").symlink_to(tmp_path / "nowhere")

    def denied(path: str) -> object:
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    found, said = read(root)
    assert [one.attack for one in found] == ["badnets"]
    assert said == [
        (
            "not read, so their records are missing here: results/away: it is a link that leads nowhere, "
            "results/blend: folder cannot be read (Permission denied)"
        )
    ]
    closed = root.name
    with pytest.raises(StoreError, match=r"cannot list the results in .*Permission denied"):
        read(root)


DOORS: dict[str, Callable[[Path], object]] = {
    "suite": read_suite,
    "published numbers": lambda path: read_published(path, METRICS),
    "plugin": lambda path: load([path]),
    "weights": lambda path: read_weights(path, True),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_file_of_moderate_size_is_refused_in_one_sentence(door: str, tmp_path: Path) -> None:
    path = tmp_path / "given.py"
    os.mkfifo(path)
    with pytest.raises(BenchkitError, match="it is not a regular file"):
        DOORS[door](path)
    path.unlink()
    path.touch()
    os.truncate(path, HUGE)
    with pytest.raises(BenchkitError, match="1,099,511,627,776 bytes, at most"):
        DOORS[door](path)


@pytest.mark.parametrize("name", ["cifar10", "mnist", "svhn", "celeba", "gtsrb"])
def test_downloaded_datasets_wait_for_no_pipe_either(name: str, tmp_path: Path) -> None:
    dataset = load().get("datasets", name)()
    for part in dataset.parts():
        path = tmp_path / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if "/Images" in part or "Training" in part or "img_align" in part else os.mkfifo(path)
    with pytest.raises(DataError, match="it is not a regular file"):
        dataset.load(Source(tmp_path))
