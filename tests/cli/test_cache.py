"""benchkit cache: what it lists and removes is in the results folder, whatever links lie there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli

from benchkit.errors import StoreError
from benchkit.records.record import Record
from benchkit.store.store import Damaged, Store

NAMES: dict[str, Any] = {"dataset": "d", "model": "m", "recipe": "fast", "attack": "a", "defense": "none"}
RECORD = Record(key="f" * 64, **NAMES, seed=0, poison_rate=0.1, status="ok")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with one artifact."""
    made = Store(tmp_path / "results").open()
    made.save("data", "k1", {"a": torch.zeros(3)}, {"label": "toy"})
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a folder outside the store that looks like a stage's."""
    made = Store(tmp_path / "other").open()
    made.save("train", "k2", {"a": torch.zeros(3)}, {"label": "precious"})
    return made.artifacts / "train"


@pytest.mark.parametrize("where", ["stage", "artifact", "artifacts"])
def test_prune_follows_no_link(benchkit_cli: Cli, store: Store, elsewhere: Path, where: str) -> None:
    if where == "stage":
        (store.artifacts / "train").symlink_to(elsewhere)
    elif where == "artifact":
        (store.artifacts / "data" / "k2").symlink_to(elsewhere / "k2")
    else:
        store.artifacts.rename(store.root / "moved")
        store.artifacts.symlink_to(elsewhere.parent)
    ran = benchkit_cli("cache", "prune", "--yes", "--results", store.root)
    assert (elsewhere / "k2" / "tensors.safetensors").exists()
    assert "is a link" in ran.err
    assert ran.code == (2 if where == "artifacts" else 0)
    assert "precious" not in benchkit_cli("cache", "ls", "--results", store.root).out
    assert where == "artifacts" or not store.has("data", "k1")


def test_links_that_lead_nowhere_hide_nothing(benchkit_cli: Cli, store: Store) -> None:
    for where in (store.artifacts, store.artifacts / "data", store.path("data", "k1")):
        (where / "dangling").symlink_to("/nowhere/at/all")
        (where / "loop").symlink_to("loop")
    ran = benchkit_cli("cache", "ls", "--json", "--results", store.root)
    assert (ran.code, [row["label"] for row in json.loads(ran.out)]) == (0, ["toy"])
    assert benchkit_cli("cache", "prune", "--yes", "--results", store.root).code == 0
    assert not store.path("data", "k1").exists()


@pytest.mark.timeout(20)
def test_a_manifest_that_is_a_pipe_or_a_link_is_damaged(benchkit_cli: Cli, store: Store, elsewhere: Path) -> None:
    manifest = store.path("data", "k1") / "manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    linked = store.path("data", "k3")
    linked.mkdir()
    (linked / "manifest.json").symlink_to(elsewhere / "k2" / "manifest.json")
    ran = benchkit_cli("cache", "ls", "--json", "--results", store.root)
    assert [row["label"] for row in json.loads(ran.out)] == ["(damaged)"] * 2


def test_a_folder_that_cannot_be_listed_is_said(
    benchkit_cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> Iterator[os.DirEntry[str]]:
        if str(folder).endswith("data"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", refused)
    ran = benchkit_cli("cache", "ls", "--results", store.root)
    assert f"cannot list {store.artifacts / 'data'}: Permission denied" in ran.err


def test_nothing_is_written_or_removed_through_a_link(store: Store, elsewhere: Path) -> None:
    (store.artifacts / "train").symlink_to(elsewhere)
    (store.results / "d").symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    for change in (
        lambda: store.save("train", "k9", {"a": torch.zeros(1)}, {}),
        lambda: store.discard("train", "k2"),
        lambda: store.write_record(RECORD),
        store.open,
    ):
        with pytest.raises(StoreError, match="is a link out of the results folder"):
            change()
    assert sorted(elsewhere.rglob("*")) == before


def test_what_a_killed_run_left_behind_a_link_is_not_removed(store: Store, elsewhere: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    from benchkit.store.locks import claim

    left = elsewhere / f".new-{claim(gone.pid)}-x"
    left.mkdir()
    (elsewhere / "old.lock").touch()
    (store.artifacts / "train").symlink_to(elsewhere)
    (store.artifacts / "locks").symlink_to(elsewhere)
    store.sweep()
    assert left.exists()
    assert (elsewhere / "old.lock").exists()


def test_a_results_folder_may_be_a_link_itself_and_hold_links_to_itself(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.root)
    (store.artifacts / "train").symlink_to("data")
    linked = Store(tmp_path / "link").open()
    linked.save("train", "k4", {"a": torch.zeros(1)}, {})
    assert store.has("data", "k4")
    assert isinstance(linked.discard("train", "k4"), Damaged)
    assert not store.has("data", "k4")


@pytest.mark.parametrize("stdin", [None, ""])
def test_prune_without_anybody_to_answer_says_what_to_do(
    benchkit_cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch, stdin: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", None if stdin is None else io.StringIO(stdin))
    ran = benchkit_cli("cache", "prune", "--results", store.root)
    assert ran.code == 2
    assert "error: there is no terminal to ask: use --yes to remove them without a question" in ran.err
    assert store.has("data", "k1")


@pytest.mark.parametrize(("answer", "there"), [("y\n", False), ("n\n", True)])
def test_prune_asks(benchkit_cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch, answer: str, there: bool) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert benchkit_cli("cache", "prune", "--results", store.root).code == 0
    assert store.has("data", "k1") is there
