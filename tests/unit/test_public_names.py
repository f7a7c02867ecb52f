"""What ``import benchkit`` gives: all public names, none of which plugins have to look for elsewhere."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import benchkit
from benchkit.plan.reach import reached

PLUGINS = Path(benchkit.__file__).parents[1] / "plugins"
TOOLS = ("benchkit.ops", "benchkit.files")


def test_every_public_name_is_there_and_no_other() -> None:
    for name in benchkit.__all__:
        assert getattr(benchkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        _ = benchkit.Clasifier  # type: ignore[attr-defined]


def test_every_public_name_is_in_the_reference() -> None:
    """Of the source; that the built page has it, too, test_site.py looks at."""
    listed = (PLUGINS.parent / "docs" / "api.md").read_text(encoding="utf-8").split()
    assert {f"benchkit.{name}" for name in benchkit.__all__} - set(listed) == {
        "benchkit.API_VERSION",
        "benchkit.__version__",
    }


def test_models_are_public_and_the_import_loads_no_torch() -> None:
    code = "import sys, benchkit; assert 'torch' not in sys.modules; print(benchkit.Classifier.__module__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == importlib.import_module("benchkit.models.classifier").__name__


def test_built_in_plugins_import_public_names_alone_even_for_types() -> None:
    wrong = []
    for path in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("benchkit."):
                continue
            if not str(node.module).startswith(TOOLS):
                wrong.append(f"{path.relative_to(PLUGINS)}: {node.module}")
    assert not wrong, wrong


def test_a_plugin_counts_with_the_public_models_and_steerings_that_it_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"Ensemble": "models.composite", "Steering": "contracts.steering", "Sam": "contracts.steering"}
    monkeypatch.syspath_prepend(tmp_path)
    for name, home in made.items():
        for used, what in (("one", f"benchkit.{name}"), ("none", "benchkit.share_of")):
            (tmp_path / f"uses_{used}_{name}.py").write_text(f"import benchkit\n\ndef make():\n    return {what}()\n")
        wanted = reached([f"benchkit.{home}:{name}"])
        assert wanted <= reached([f"uses_one_{name}"])
        assert not wanted <= reached([f"uses_none_{name}"])
