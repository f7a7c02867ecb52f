"""The command line from the outside: what it imports, listings, and what the README and setup.cfg promise."""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from fixture_types import Cli

from benchkit.cli import COMMANDS
from benchkit.execute.resolve import DEFAULTS
from benchkit.plan.planner import plan
from benchkit.spec.registry import load
from benchkit.spec.spec import make
from benchkit.spec.suite import read_suite

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "timm", "numpy", "rich", "scipy", "sklearn", "matplotlib", "safetensors")
LIGHT = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_light_commands_import_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\nfrom benchkit import cli\n"
        f"sys.argv = ['benchkit', *{args!r}]\ncode = cli._code()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\nsys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.strip() == "[]"


def test_help_names_every_command(benchkit_cli: Cli) -> None:
    text = benchkit_cli("--help").out
    assert all(f"  {name} " in text for name in COMMANDS)


def test_plugins_lists_components_and_what_is_wrong(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("plugins", "--check", "--json")
    found = json.loads(ran.out)
    assert (ran.code, found["problems"]) == (0, [])
    names = {(row["kind"], row["name"]) for row in found["components"] if row["from"] == "benchkit"}
    assert {("attack", "wanet"), ("defense", "strip"), ("dataset", "scenes"), ("model", "narrownet")} <= names


def test_check_fails_on_a_broken_plugin(benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bk_broken.py").write_text("raise ValueError('broken')")
    info = tmp_path / "bk_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bk-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchkit]\nbroken = bk_broken\n")
    monkeypatch.syspath_prepend(tmp_path)
    ran = benchkit_cli("plugins", "--check")
    assert ran.code == 1
    assert "bk-broken" in ran.err
    assert "ValueError: broken" in ran.err


def test_show_gives_paper_assumptions_and_bounds(benchkit_cli: Cli) -> None:
    text = benchkit_cli("show", "freq-detector").out
    assert all(word in text for word in ("Zeng", "worth 100 % of", "victim trains on", "fpr:0.05", "> 0, <= 1"))
    both = benchkit_cli("show", "none").out
    assert "none (attack" in both
    assert "none (defense" in both
    row = json.loads(benchkit_cli("show", "fast", "--json").out)[0]
    assert row["kind"] == "recipe"
    assert {"epochs", "lr", "budget"} <= {one["name"] for one in row["parameters"]}


def test_every_built_in_file_with_a_hook_has_its_entry_point_and_back() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options.entry_points"]["benchkit"].strip().splitlines()
    declared = {line.split(" = ")[1] for line in lines}
    files = {
        ".".join(("benchkit_plugins", *path.relative_to(ROOT / "plugins").with_suffix("").parts))
        for path in (ROOT / "plugins").rglob("*.py")
        if "@benchkit.hookimpl" in path.read_text()
    }
    installed = {
        point.value for point in entry_points(group="benchkit") if point.dist and point.dist.name == "benchkit"
    }
    assert declared == files | {"benchkit.components.baseline"}
    assert installed == declared, "the installed entry points differ from setup.cfg: run pip install -e . again"


def test_every_package_is_listed() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("benchkit/**/__init__.py")}
    found |= {
        ".".join(("benchkit_plugins", *path.parent.relative_to(ROOT / "plugins").parts))
        for path in ROOT.glob("plugins/**/__init__.py")
    }
    assert listed == found | {"benchkit_suites", "benchkit_published"}


TOUR = ROOT / "docs" / "tour.md"


def test_the_tour_names_every_command() -> None:
    assert all(f"benchkit {name}" in TOUR.read_text() for name in COMMANDS)


@pytest.mark.parametrize("page", [ROOT / "README.md", TOUR], ids=lambda page: page.name)
def test_the_lists_that_are_shown_parse(benchkit_cli: Cli, tmp_path: Path, page: Path) -> None:
    commands = re.findall(r"^benchkit run (--attacks [^#\n]*)", page.read_text(), flags=re.MULTILINE)
    assert commands
    for one in commands:
        if "image-folder" not in one and "--download" not in one:
            assert benchkit_cli("plan", *one.split(), "--results", tmp_path).code == 0


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "suites").glob("*.toml")), ids=lambda path: path.name)
def test_every_suite_can_be_planned(path: Path) -> None:
    """Suites name datasets that are not here; what they ask for has to exist, and to make a plan."""
    registry = load()
    texts: dict[str, Any] = {**DEFAULTS, "models": "narrownet", "recipe": "fast", **read_suite(path)}
    spec = make(texts, registry)
    made = plan(spec, dict.fromkeys(spec.sources(), ""))
    columns = len(spec.defenses)
    benign = sum(attack.benign for attack in spec.attacks)
    rows = benign + (len(spec.attacks) - benign) * len(spec.poison_rates)
    assert len(made.cells) == rows * columns * len(spec.seeds) * len(spec.datasets) * len(spec.models)


def test_nothing_is_pickled_or_evaluated() -> None:
    banned = re.compile(r"\b(import pickle\b|pickle\.|torch\.load\(|yaml\.load\(|eval\(|exec\(|torch\.save\()")
    # A foreign checkpoint is read only where a user asked for it by name, with weights_only=True.
    foreign = 'return torch.load(path, map_location="cpu", mmap=zipped, weights_only=True)'
    allowed = {"model.eval(", ".eval("}
    loads = []
    for path in [*ROOT.glob("benchkit/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        hits = [line.strip() for line in path.read_text().splitlines() if banned.search(line)]
        loads += [path.relative_to(ROOT).as_posix() for line in hits if line == foreign]
        assert not [line for line in hits if line != foreign and not any(word in line for word in allowed)], path
    assert loads == ["benchkit/scan/weights.py"]


DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef


def test_functions_and_files_stay_small() -> None:
    lengths = []
    for path in [*ROOT.glob("benchkit/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        text = path.read_text()
        assert len(text.splitlines()) <= 250, f"{path} has more than 250 lines: split it"
        functions = (node for node in ast.walk(ast.parse(text)) if isinstance(node, DEFINITION))
        lengths += [(_length(node), f"{path.name}:{node.lineno}") for node in functions]
    sizes = sorted(lengths)
    assert sizes[-1][0] <= 50, sizes[-1]
    assert sizes[int(0.9 * len(sizes))][0] <= 25
    assert sizes[len(sizes) // 2][0] <= 8


def _length(node: DEFINITION) -> int:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 1
