"""Finding and loading plugins: isolation, clashes, versions, loose files."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixture_types import Cli

from benchkit.errors import SpecError
from benchkit.plan.fingerprint import component_id
from benchkit.spec.installed import find
from benchkit.spec.registry import load

GOOD = """
from dataclasses import dataclass
import benchkit

@dataclass(frozen=True)
class Mine(benchkit.Attack):
    "Mine."
    name = "{name}"
    def stamp(self, images, scene):
        return 255 - images

@benchkit.hookimpl
def benchkit_attacks():
    return [Mine]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a fake distribution: a module and its entry-point metadata on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(dist: str, module: str, code: str, name: str | None = None) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[benchkit]\n{name or module} = {module}\n")
        importlib.invalidate_caches()

    return install


def test_built_ins_come_through_entry_points_and_none_is_broken() -> None:
    registry = load()
    assert registry.problems == []
    assert {"none", "badnets", "blend", "sig", "wanet", "troj-sq"} <= set(registry.attacks)


def test_a_third_party_plugin_is_found_with_its_distribution(installed: Callable[..., None]) -> None:
    installed("bk-inverse", "bk_inverse", GOOD.format(name="inverse"))
    registry = load()
    assert registry.attacks["inverse"].plugin.dist == "bk-inverse"
    assert registry.problems == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("BENCHKIT_API = 99", "needs plugin API 99"),
        (GOOD.format(name="x").replace("return [Mine]", "raise KeyError('boom')"), "failed in benchkit_attacks"),
        (GOOD.format(name="x").replace("@dataclass(frozen=True)", ""), "not a frozen dataclass"),
        (GOOD.format(name="x").replace("[Mine]", "[Mine()]"), "must return subclasses of benchkit.Attack"),
        (GOOD.format(name="x").replace("def stamp", "def stomp"), "does not define stamp"),
        (GOOD.format(name="x").replace("def benchkit_attacks", "def benchkit_atacks"), "hook that does not exist"),
        (GOOD.format(name=""), "has no name"),
        (GOOD.format(name="all"), "stands for every one"),
        (GOOD.format(name="ev,il"), "cannot be a name"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise ValueError('two\\nlines \\x1b[31m')", "ValueError: two lines [31m"),
        (GOOD.format(name="x").replace("return [Mine]", "raise SystemExit(4)"), "SystemExit: 4"),
        (GOOD.format(name="x").replace("benchkit_attacks()", "benchkit_attacks(a)"), "{'a'}"),
    ],
)
def test_a_bad_plugin_costs_one_sentence_and_nothing_else(
    installed: Callable[..., None], code: str, words: str
) -> None:
    installed("bk-bad", f"bk_bad_{abs(hash(code))}", code)
    registry = load()
    (problem,) = registry.problems
    assert words in problem
    assert "bk-bad" in problem
    assert "badnets" in registry.attacks


def test_what_a_plugin_prints_is_no_part_of_the_output(installed: Callable[..., None], benchkit_cli: Cli) -> None:
    installed("bk-loud", "bk_loud", f"print('hello'){GOOD.format(name='loud')}")
    ran = benchkit_cli("plugins", "--check", "--json")
    assert "loud" in [row["name"] for row in json.loads(ran.out)["components"]]
    assert "hello" in ran.err


@pytest.mark.parametrize("broken", [b"[benchkit]\nz\n", b"[benchkit]\nz = \xff\xfe\n"])
def test_metadata_that_cannot_be_read_is_nobodys_plugin(
    installed: Callable[..., None], tmp_path: Path, broken: bytes
) -> None:
    installed("bk-fine", "bk_fine", GOOD.format(name="fine"))
    installed("bk-odd", "bk_odd", GOOD.format(name="odd"))
    (tmp_path / "bk_odd-1.0.dist-info" / "entry_points.txt").write_bytes(broken)
    (tmp_path / "bk_fine-1.0.dist-info" / "METADATA").unlink()
    registry = load()
    assert "fine" in registry.attacks
    assert "odd" not in registry.attacks


def test_a_clash_names_both_distributions_and_the_built_in_keeps_the_name(installed: Callable[..., None]) -> None:
    installed("bk-clash", "bk_clash", GOOD.format(name="badnets"))
    registry = load()
    (problem,) = registry.problems
    assert "both benchkit and bk-clash" in problem
    assert registry.attacks["badnets"].plugin.dist == "benchkit"


def test_benchkit_disable_takes_plugin_and_distribution_names(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("bk-off", "bk_off", "raise SystemError")
    monkeypatch.setenv("BENCHKIT_DISABLE", "bk-off, wanet")
    registry = load()
    assert registry.problems == []
    assert "wanet" not in registry.attacks
    assert "badnets" in registry.attacks


def test_finding_imports_nothing(installed: Callable[..., None]) -> None:
    installed("bk-boom", "bk_boom", "raise SystemError")
    assert "bk_boom" in {one.target for one in find()}


def test_a_loose_file_is_loaded_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(GOOD.format(name="loose"))
    bad.write_text("raise ValueError('no')")
    assert "loose" in load([good]).attacks
    with pytest.raises(SpecError, match="ValueError: no"):
        load([bad])
    with pytest.raises(SpecError, match="there is no file"):
        load([tmp_path / "absent.py"])


def test_a_loose_file_is_what_it_says_now_and_so_is_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes bytecode for current if the file is as long as then, and was written in the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file, white = tmp_path / "edited.py", torch.full((1, 3, 2, 2), 255)
    codes = []
    for number in ("255", "254", "255"):
        file.write_text(GOOD.format(name="edited").replace("255", number))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        attack = load([file]).attacks["edited"].cls()
        assert attack.stamp(white, None).unique().tolist() == [int(number) - 255]
        codes.append(component_id(attack)["code"])
    assert codes[0] == codes[2] != codes[1]
    assert [path.name for path in tmp_path.iterdir()] == ["edited.py"]


def test_loading_the_built_ins_imports_nothing_that_takes_long() -> None:
    """Every command and every worker of a run loads them all; what few of them need, these import when they run."""
    heavy = ["scipy.stats", "sklearn", "timm", "torchvision", "matplotlib", "sympy", "datasets", "skimage"]
    code = f"import sys; from benchkit.spec.registry import load; load(); print(set(sys.modules) & set({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_loose_files_of_one_name_are_modules_of_their_own(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        files.append(tmp_path / name / "mine.py")
        files[-1].parent.mkdir()
        files[-1].write_text(GOOD.format(name=name))
    registry = load(files)
    modules = [registry.get("attacks", name).__module__ for name in ("one", "two")]
    assert [sys.modules[module].__file__ for module in modules] == list(map(str, files))
