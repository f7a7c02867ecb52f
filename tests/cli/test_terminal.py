"""Names from elsewhere do not steer the terminal: every text goes through one door."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Never

import pytest
import torch
from fixture_types import Cli
from rich.console import Console
from toy_steps import step

import benchkit
from benchkit.execute.progress.history import History
from benchkit.execute.progress.progress import Progress
from benchkit.execute.progress.view import Screen
from benchkit.report.formats.text import to_console
from benchkit.report.tables.document import Report
from benchkit.store.store import Store
from benchkit.text import printable, shortened, shown

HARM = "\x1b]0;owned\x07\x9b2J\x7f\u202e"
TOY = Path(__file__).parents[1] / "toy.py"


def harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Return a folder with a name that steers a terminal."""
    folder = tmp_path / f"odd{HARM}\nname"
    folder.mkdir()
    return folder


def test_the_cache(benchkit_cli: Cli, odd: Path) -> None:
    store = Store(odd).open()
    store.save(f"stage{HARM}", f"key{HARM}", {"a": torch.zeros(1)}, {"label": f"of{HARM}\nit"})
    (store.artifacts / f"link{HARM}").symlink_to(odd)
    for args in (("ls",), ("ls", "--json"), ("prune",), ("prune", "--stage", f"s{HARM}"), ("prune", "--yes")):
        ran = benchkit_cli("cache", *args, "--results", odd)
        assert harmless(ran.out), args
        assert harmless(ran.err), args
        if args == ("ls", "--json"):
            assert json.loads(ran.out)[0]["label"] == f"of{HARM}\nit"


def test_folders_that_cannot_be_listed(benchkit_cli: Cli, odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: str | Path) -> Never:
        raise PermissionError(13, "Permission denied", str(folder))

    (odd / "results").mkdir()
    (odd / "artifacts").mkdir()
    monkeypatch.setattr(os, "scandir", refused)
    for command in (("report",), ("cache", "ls")):
        ran = benchkit_cli(*command, "--results", odd)
        assert "cannot list" in ran.err
        assert harmless(ran.out + ran.err)


def test_errors_and_warnings(benchkit_cli: Cli, odd: Path, tmp_path: Path) -> None:
    (odd / "suite.toml").write_text("nonsense = 1")
    (odd / "plugin.py").write_text(f"raise ValueError({HARM!r})")
    (odd / "notes.json").write_text("{}")
    results = ("--results", tmp_path / "r")
    for args in (
        ("run", odd / "suite.toml"),
        ("run", odd / "absent.toml"),
        ("run", "-p", odd / "plugin.py", "--attacks", "none"),
        ("run", "-p", TOY, "--attacks", f"corner:mode={HARM}", *results),
        ("run", "--attacks", HARM, *results),
        ("run", "--attacks", "none", "--dataset", f"image-folder:root={odd}", *results),
        ("run", f"--{HARM}"),
        (HARM,),
        ("show", HARM),
        ("report", "--results", odd),
        ("report", "--results", odd / "absent"),
        ("new", "attack", HARM),
        ("scan", "images", odd / "absent"),
        ("scan", "model", odd / "absent", "--model", HARM),
    ):
        ran = benchkit_cli(*args)
        assert ran.code in (2, 3), args
        assert ran.err
        assert harmless(ran.out + ran.err), args


def test_the_live_view_and_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERM", "xterm")
    harmful = step("data", "k", label=f"load {HARM}")
    screen = Screen(Progress(History(Store(tmp_path), "cpu")), lambda: 1)
    screen.started(harmful, "cpu/0")
    stream = io.StringIO()
    Console(file=stream, force_terminal=True).print(screen.draw())
    screen.console = Console(file=stream, force_terminal=True)
    screen.say(f"lost: {HARM}")
    to_console(Report((), ((f"Notes {HARM}", (HARM,)),)), Console(file=stream))
    text = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())
    assert "owned" in text
    assert harmless(text)


def test_there_is_no_other_door() -> None:
    package = Path(benchkit.__file__).parent
    doors = re.compile(r"click\.(?:secho|echo)\(|(?<![\w.\"])print\(|sys\.(?:stdout|stderr)\.write")
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(doors.search(line) for line in path.read_text().splitlines())
    }
    assert found == {"text.py", "export/model_card.py"}, "the program that a model card shows prints"


def test_what_the_door_does() -> None:
    assert shown(f"a\tb\n{HARM}") == "a\tb\n\\u001b]0;owned\\u0007\\u009b2J\\u007f\\u202e"
    assert shown("\U000e0001\udc9b") == "\\U000e0001\\udc9b"
    assert shown("plain \u00e9") == "plain \u00e9"
    assert printable(f"a{HARM}\nb") == "a ]0;owned 2J b"


def test_long_texts_keep_their_start_and_their_end() -> None:
    assert shortened("short text") == "short text"
    word = shortened(f"there is no '{'a' * 160_000}': use b")
    assert len(word) < 500
    assert word.startswith("there is no 'aaa")
    assert word.endswith("a': use b")
    text = shortened("bad: " + "a b " * 50_000 + "mend it")
    assert len(text) < 2000
    assert (text[:5], text[-7:]) == ("bad: ", "mend it")
