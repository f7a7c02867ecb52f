"""What programs and terminals get: JSON with stable keys from every listing, and no colour where it is unwelcome."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli

TOY = Path(__file__).parents[1] / "toy.py"
RUN = (
    "--dataset",
    "toy",
    "--recipe",
    "fast:epochs=2,batch=32",
    "-p",
    str(TOY),
    "--device",
    "cpu",
    "--attacks",
    "corner",
)
LITTLE = (*RUN, "--defenses", "brightest", "--no-victims", "--jobs", "1")
"""A run that trains nothing."""
COLOUR = re.compile(r"\x1b\[[\d;]*\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[\d;]*)?m")


def keys(rows: object) -> set[str]:
    assert isinstance(rows, list)
    assert rows
    assert all(row.keys() == rows[0].keys() for row in rows)
    return set(rows[0])


def test_plugins(benchkit_cli: Cli) -> None:
    found = json.loads(benchkit_cli("plugins", "--json").out)
    assert found.keys() == {"components", "problems"}
    assert keys(found["components"]) == {"kind", "name", "group", "about", "paper", "from", "version", "module"}
    assert {row["kind"] for row in found["components"]} == {"attack", "defense", "dataset", "model", "recipe"}


def test_plugins_are_listed_by_kind_with_a_line_and_the_paper(
    benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = benchkit_cli("plugins", "-p", TOY).out
    heads = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert heads[:3] == ["attacks: poisons data", "attacks: controls training", "attacks: benign rows"]
    assert heads[-3:] == ["datasets", "models", "recipes"]
    assert max(map(len, out.splitlines())) <= 80
    said = " ".join(out.split())
    assert "default). (Gu et al., arXiv 2017) blend Mix" in said
    assert f"[{TOY}]" in said, "what is not ours says whose it is"


def test_networks_name_their_papers(benchkit_cli: Cli) -> None:
    found = json.loads(benchkit_cli("plugins", "--kind", "models", "--json").out)["components"]
    papers = {row["name"]: row["paper"] for row in found}
    assert all(papers.values())
    (row,) = json.loads(benchkit_cli("show", "mntd_cnn", "--json").out)
    assert (
        row["paper"]
        == papers["mntd_cnn"]
        == "Xu et al., IEEE S&P 2021, Detecting AI Trojans Using Meta Neural Analysis"
    )
    assert row["description"].endswith("a layer of 512.")


def test_plugins_of_one_kind_or_with_one_attacker(benchkit_cli: Cli) -> None:
    def named(*options: str) -> set[str]:
        return {row["name"] for row in json.loads(benchkit_cli("plugins", "--json", *options).out)["components"]}

    assert named("--kind", "recipes") == {"fast", "standard", "rao2024", "mntd"}
    assert {"wanet", "low-freq"} <= named("--access", "training")
    assert not {"badnets", "none", "strip"} & named("--access", "training")
    assert named("--kind", "datasets", "--access", "data") == set()
    assert benchkit_cli("plugins", "--kind", "datasets", "--access", "data").out == "there is none of these\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("narrownet", "275,458 weights for 10 classes of 32 x 32 RGB images"),
        ("resnet18", "resnet18 (model, from timm)"),
        ("fast", "fast (recipe, from benchkit"),
    ],
)
def test_show_knows_networks_and_recipes(benchkit_cli: Cli, name: str, words: str) -> None:
    assert words in benchkit_cli("show", name).out


def test_show(benchkit_cli: Cli) -> None:
    rows = json.loads(benchkit_cli("show", "badnets", "--json").out)
    assert keys(rows) == {"name", "kind", "from", "paper", "description", "assumes", "size", "reports", "parameters"}
    assert keys(rows[0]["parameters"]) == {"name", "type", "default", "bounds", "help"}


def test_plan_and_cache_before_and_after_a_run(benchkit_cli: Cli, tmp_path: Path) -> None:
    where = ("--results", tmp_path / "r")

    def planned() -> Any:
        return json.loads(benchkit_cli("plan", *RUN, *where, "--json").out)

    before = planned()
    assert before.keys() == {
        "attacks", "defenses", "datasets", "models", "seeds", "poison_rates", "recipe", "population", "retune",
        "shard",
        "cells", "cells_done", "steps",
    }  # fmt: skip
    assert keys(before["steps"]) == {"stage", "key", "of", "state"}
    assert {one["name"] for one in before["attacks"]} == {"corner"}
    assert (before["cells"], before["cells_done"]) == (1, 0)
    assert {step["state"] for step in before["steps"]} == {"to-run"}
    assert benchkit_cli("run", *RUN, *where, "--quiet").code == 0
    after = planned()
    assert after["cells_done"] == 1
    assert {step["state"] for step in after["steps"]} == {"done"}
    listed = json.loads(benchkit_cli("cache", "ls", *where, "--json").out)
    assert keys(listed) == {"stage", "key", "bytes", "label", "path"}
    assert {row["key"] for row in listed} == {step["key"] for step in after["steps"] if step["stage"] != "cell"}
    ran = benchkit_cli("cache", "prune", *where, "--yes", "--stage", "dta")
    assert (ran.code, "did you mean 'data'" in ran.err) == (2, True)
    benchkit_cli("cache", "prune", *where, "--yes")
    assert {step["state"] for step in planned()["steps"]} == {"done", "not-needed"}
    assert json.loads(benchkit_cli("cache", "ls", *where, "--json").out) == []


def test_prune_says_what_it_could_not_remove(
    benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str | Path, **how: Any) -> None:
        if not str(path).endswith("k1"):
            real(path, **how)

    real, gone = shutil.rmtree, tmp_path / "r" / "artifacts" / "data"
    for name in ("k1", "k2"):
        (gone / name).mkdir(parents=True)
        (gone / name / "manifest.json").write_text("{}")
    monkeypatch.setattr(shutil, "rmtree", refused)
    ran = benchkit_cli("cache", "prune", "--results", tmp_path / "r", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert f"could not remove 1 of 2 artifacts, such as {gone / 'k1'}" in ran.err
    assert [path.name for path in gone.iterdir()] == ["k1"]


def in_terminal(*arguments: object, **env: str) -> str:
    """Return what a command writes to a terminal of 160 columns, control sequences included."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    command = [sys.executable, "-m", "benchkit", *map(str, arguments)]
    ran = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env={**kept, "TERM": "xterm-256color", **env}
    )
    os.close(child)
    seen = b""
    try:
        while part := os.read(parent, 65536):
            seen += part
    except OSError:  # how Linux says that nobody has the terminal open any more
        pass
    ran.wait()
    os.close(parent)
    return seen.decode(errors="replace")


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)])
def test_no_color_reaches_the_live_view_and_the_tables(tmp_path: Path, env: dict[str, str], coloured: bool) -> None:
    text = in_terminal("run", *LITTLE, "--results", tmp_path / "r", **env)
    assert " steps " in text
    assert bool(COLOUR.search(text)) is coloured
    table = in_terminal("report", "--results", tmp_path / "r", **env)
    assert "corner" in table
    assert "\u2502" in table
    assert coloured or not COLOUR.search(table)


def test_what_is_not_a_terminal_gets_no_control_sequence_whatever_is_asked(tmp_path: Path) -> None:
    asked = [*RUN, "--defenses", "brightest", "--no-victims", "--executor", "inline", "--device", "cpu"]
    command = [sys.executable, "-m", "benchkit", "run", *asked, "--results", str(tmp_path / "r")]
    env = {**os.environ, "FORCE_COLOR": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "| corner" in ran.stdout


def test_a_plan_says_how_long_it_takes_where_such_steps_have_run(benchkit_cli: Cli, tmp_path: Path) -> None:
    asked = ("--attacks", "corner", *RUN, "--results", tmp_path / "results")
    assert "how long that takes is not known here" in benchkit_cli("plan", *asked).out
    assert benchkit_cli("run", *asked, "--executor", "inline", "--quiet").code == 0
    assert "takes" not in benchkit_cli("plan", *asked).out, "nothing is left to run"
    assert "by what such steps took here before" in benchkit_cli("plan", *asked, "--seeds", "9,").out
