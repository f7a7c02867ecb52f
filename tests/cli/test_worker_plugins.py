"""A worker imports the plugins that its steps name, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli

from benchkit.spec.registry import load
from benchkit.spec.spec import components

PLUGIN = '''
import sys
from dataclasses import dataclass
from pathlib import Path
import benchkit

@dataclass(frozen=True)
class Spying(benchkit.InputDetector):
    """Notes which modules of plugins its process has imported."""

    name = "spying"
    file: str = benchkit.param("", "where the names go")

    def score(self, images, scene):
        names = sorted(name for name in sys.modules if name.startswith("benchkit_plugins."))
        Path(self.file).write_text("\\n".join(names))
        return images.float().mean((1, 2, 3))

@benchkit.hookimpl
def benchkit_defenses():
    return [Spying]
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a plugin that implements a hook of networks; return its module's name."""
    info = tmp_path / "bk_nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bk-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchkit]\nanything = bk_nets\n")
    signature = "benchkit_model(name, classes, channels, height, width)"
    code = f"import benchkit\n@benchkit.hookimpl\ndef {signature}:\n    return None\n"
    (tmp_path / "bk_nets.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return "bk_nets"


def test_a_worker_imports_what_the_steps_name(toy_run: Cli, tmp_path: Path) -> None:
    (tmp_path / "spying.py").write_text(PLUGIN)
    seen = tmp_path / "seen"
    asked = ["--attacks", "physical:base=blend", "--defenses", f"spying:file={seen}", "-p", tmp_path / "spying.py"]
    ran = toy_run(*asked, "--no-victims", "--device", "cpu", "--jobs", "1")
    assert ran.code == 0, ran.err
    names = {name.rpartition(".")[2] for name in seen.read_text().splitlines()}
    assert {"physical", "blend"} <= names
    assert not {"wanet", "smooth", "strip", "mna", "cifar10", "mlflow"} & names


def test_modules_are_those_of_the_components_of_what_is_nested_and_of_networks(module: str) -> None:
    registry = load()
    assert registry.problems == []
    wanted = components("invisible:base=badnets,none", "attacks", registry) + components("strip", "defenses", registry)
    found = registry.behind(wanted)
    names = sorted(one.target for one in found)
    folder = "benchkit_plugins"
    own = [f"{folder}.attacks.badnets", f"{folder}.attacks.invisible", f"{folder}.defenses.strip"]
    assert names == sorted([module, "benchkit.components.baseline", *own])
    again = load(only=found)
    assert again.loaded == found
    for kind, name in (("attacks", "badnets"), ("attacks", "none"), ("defenses", "strip")):
        assert again.get(kind, name) is registry.get(kind, name)
    assert "blend" not in again.attacks


def test_of_two_plugins_with_one_name_workers_take_the_one_that_the_run_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from dataclasses import dataclass\nimport benchkit\n"
        "@dataclass(frozen=True)\nclass Mine(benchkit.Attack):\n    name = 'mine'\n"
        "    def stamp(self, images, scene):\n        return 255 - images\n"
        "@benchkit.hookimpl\ndef benchkit_attacks():\n    return [Mine]\n"
    )
    for dist in ("bk-a", "bk-b"):
        info = tmp_path / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[benchkit]\n{dist} = {dist.replace('-', '_')}_mine\n")
        (tmp_path / f"{dist.replace('-', '_')}_mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    registry = load()
    assert "offered by both bk-a and bk-b" in registry.problems[0]
    (one,) = components("mine", "attacks", registry)
    found = registry.behind([one])
    assert [plugin.target for plugin in found] == ["bk_a_mine"]
    assert load(only=found).get("attacks", "mine") is type(one)
