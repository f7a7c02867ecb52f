"""Artifacts and records: atomic, checksummed, explained when they cannot be written."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Never

import pytest
import torch
from fixture_types import Cli
from toy_steps import step

from benchkit.errors import StoreError
from benchkit.execute.progress.history import History
from benchkit.export.victims import fresh
from benchkit.records.record import Record
from benchkit.store.files import slug
from benchkit.store.locks import unfinished
from benchkit.store.store import Damaged, Store

IDENTITY: dict[str, Any] = {
    "dataset": "d",
    "model": "m",
    "attack": "a:x=1",
    "defense": "none",
    "seed": 0,
    "key": "f" * 64,
}
REST: dict[str, Any] = {"recipe": "fast", "poison_rate": 0.1, "status": "ok"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results").open()


def test_an_artifact_comes_back_as_it_was(store: Store) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).t(), "b": torch.zeros(0, dtype=torch.uint8)}
    store.save("train", "k1", tensors, {"info": {"n": 1}})
    loaded = store.load("train", "k1")
    assert all(loaded[name].equal(tensors[name]) for name in tensors)
    assert store.meta("train", "k1") == {"info": {"n": 1}}


SHEET = torch.arange(24.0).reshape(4, 6)
ODD: dict[str, dict[str, torch.Tensor]] = {
    "transposed": {"a": SHEET.t()},
    "expanded": {"a": SHEET[:1].expand(5, 6), "b": torch.tensor(3).expand(2, 2)},
    "every other one": {"a": SHEET[::2, ::3]},
    "channels last": {"a": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)},
    "one under two names": {"a": SHEET, "b": SHEET},
    "views of one": {"a": SHEET[:3], "b": SHEET[1:], "c": SHEET.view(-1), "d": SHEET.t()},
    "disjoint views of one": {"a": SHEET[:2], "b": SHEET[2:]},
    "seen as other bytes": {"a": SHEET, "b": SHEET.view(torch.int32)},
    "with gradients": {"a": torch.nn.Parameter(SHEET.clone())},
    "conjugated by a flag": {"a": torch.complex(SHEET, SHEET).conj(), "b": torch.complex(SHEET, SHEET).conj().imag},
    "empty": {"a": torch.zeros(0), "b": torch.zeros(2, 0)},
}


@pytest.mark.parametrize("tensors", ODD.values(), ids=ODD)
def test_tensors_are_stored_whatever_memory_they_lie_in(store: Store, tensors: dict[str, torch.Tensor]) -> None:
    expected = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    store.save("craft", "k1", tensors, {})
    loaded = store.load("craft", "k1")
    assert loaded.keys() == expected.keys()
    for name, tensor in loaded.items():
        assert tensor.equal(expected[name])
        assert tensor.dtype == expected[name].dtype
    path = store.path("craft", "k1") / "tensors.safetensors"
    assert path.stat().st_size < 1000 + sum(one.numel() * one.element_size() for one in expected.values())


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove", "manifest"])
def test_damage_is_noticed_and_the_artifact_removed(store: Store, harm: str) -> None:
    store.save("train", "k1", {"a": torch.arange(100)}, {})
    path = store.path("train", "k1") / "tensors.safetensors"
    raw = path.read_bytes()
    if harm == "truncate":
        path.write_bytes(raw[:-8])
    elif harm == "flip":
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    elif harm == "remove":
        path.unlink()
    else:
        (path.parent / "manifest.json").write_text("{")
    with pytest.raises(Damaged):
        store.load("train", "k1")
    assert not store.has("train", "k1")


def test_a_failed_write_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, raw: bytes) -> Never:
        raise OSError(28, "No space left on device")

    for module in ("store", "files"):
        monkeypatch.setattr(f"benchkit.store.{module}.write_synced", full)
    with pytest.raises(StoreError, match="the disk is full"):
        store.save("train", "k1", {"a": torch.zeros(3)}, {})
    with pytest.raises(StoreError, match="the disk is full"):
        store.write_record(Record(**IDENTITY, **REST))
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def test_a_record_comes_back_only_under_its_own_key(store: Store) -> None:
    store.write_record(Record(**IDENTITY, **REST))
    found = store.record(IDENTITY)
    assert found
    assert found.status == "ok"
    assert store.record({**IDENTITY, "key": "f" * 8 + "0" * 56}) is None
    assert store.record_path(IDENTITY).parent.relative_to(store.results).parts == ("d", "m", "a_x=1", "none")


def test_a_record_with_nan_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        store.write_record(Record(**IDENTITY, **REST, metrics={"asr": float("nan")}))


def test_a_file_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="--results"):
            Store(folder).open()


def test_slugs_are_safe_and_distinct() -> None:
    names = ["../../etc", "a/b", "a_b", "..", "x" * 300, "x" * 299 + "y", "a:b=1"]
    made = [slug(name) for name in names]
    assert all("/" not in name and name.strip(".") and len(name) <= 80 for name in made)
    assert slug("x" * 300) != slug("x" * 299 + "y")


def test_only_one_holder_of_a_lock_and_it_dies_with_its_process(store: Store) -> None:
    code = (
        "import sys, time; from pathlib import Path; from benchkit.store.store import Store\n"
        "with Store(Path(sys.argv[1])).lock('k'):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    got = threading.Event()

    def wait() -> None:
        with store.lock("k"):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.wait(0.5)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert got.wait(10)
    waiter.join()


def test_opening_removes_what_a_dead_process_left_but_not_what_a_live_one_is_writing(store: Store) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    live, elsewhere = unfinished(store.artifacts / "train"), store.artifacts / "train" / ".new-otherhost-1-x"
    theirs = live.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    left = [store.artifacts / theirs, store.artifacts / "train" / theirs, store.results / "toy" / theirs]
    for folder in (*left, live, elsewhere):
        folder.mkdir(parents=True)
        (folder / "half").touch()
    store.open()
    assert [folder.exists() for folder in (*left, live, elsewhere)] == [False, False, False, True, True]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_what_is_written_may_be_read_and_changed_by_whom_the_umask_says(
    tmp_path: Path, benchkit_cli: Cli, umask: int
) -> None:
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "results").open()
        store.save("train", "k1", {"a": torch.zeros(3)}, {})
        store.write_record(Record(**IDENTITY, **REST, metrics={"c_acc": 0.5}))
        with store.lock("k"):
            (lock,) = (store.artifacts / "locks").iterdir()
            assert stat.S_IMODE(lock.stat().st_mode) == 0o666 & ~umask
        history = History(store, "cpu")
        history.learn(step("data", "k"), 1.0)
        history.save()
        report = ("report", "--results", store.root, "--format")
        for form in ("csv", "html"):
            assert benchkit_cli(*report, form, "--out", tmp_path / f"report.{form}").code == 0
        assert benchkit_cli("export", "--results", store.root, "--to", "csv", "--out", tmp_path / "e.csv").code == 0
        assert benchkit_cli("new", "attack", "mine", "--dir", tmp_path / "package").code == 0
        with fresh(tmp_path / "exported") as folder:
            (folder / "file").touch()
    finally:
        os.umask(before)
    made = list(tmp_path.rglob("*"))
    assert len(made) > 20
    wrong = [path for path in made if stat.S_IMODE(path.stat().st_mode) != (0o777 if path.is_dir() else 0o666) & ~umask]
    assert not wrong
