"""How the program ends where its output goes nowhere, through its real entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest
from fixture_types import Cli

BENCHKIT = f"{sys.executable} -m benchkit"


def shell(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash's."""
    whole = {**os.environ, **env}
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=whole)


@pytest.mark.parametrize("command", ["--help", "run --help", "plugins --json", "show badnets"])
def test_nobody_reads_on(command: str) -> None:
    ran = shell(f"{BENCHKIT} {command} | true; echo ${{PIPESTATUS[0]}}")
    assert ran.stdout == "141\n"
    assert ran.stderr == ""


@pytest.mark.parametrize("command", ["plugins --json", "run --help"])
def test_the_disk_behind_the_output_is_full(command: str) -> None:
    ran = shell(f"{BENCHKIT} {command} > /dev/full")
    assert ran.returncode == 2
    assert ran.stderr == "error: cannot use standard output: No space left on device\n"


def test_the_output_is_closed() -> None:
    ran = shell(f"{BENCHKIT} plugins >&-")
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\u2717"), ("latin-1", "\\u2717")])
def test_letters_that_the_output_cannot_show_end_nothing(tmp_path: Path, encoding: str, shown: str) -> None:
    """Click takes ASCII for a mistake, and writes UTF-8."""
    name = tmp_path / "\u2717"
    ran = shell(f"{BENCHKIT} report --results {name} 2>&1", PYTHONIOENCODING=encoding)
    assert ran.returncode == 2
    assert shown in ran.stdout
    assert "Traceback" not in ran.stdout


def test_code_that_exits_inside_a_command_is_named(tmp_path: Path) -> None:
    plugin = tmp_path / "leaver.py"
    plugin.write_text(
        "from dataclasses import dataclass\nimport benchkit\n\n"
        "@dataclass(frozen=True)\nclass Leaver(benchkit.Attack):\n    'Exits.'\n    name = 'leaver'\n"
        "    def stamp(self, images, scene):\n        return images\n"
        "    def check(self, shape, classes):\n        raise SystemExit(0)\n\n"
        "@benchkit.hookimpl\ndef benchkit_attacks():\n    return [Leaver]\n"
    )
    toy = Path(__file__).parents[1] / "toy.py"
    asked = f"run -p {plugin} -p {toy} --attacks leaver --dataset toy --recipe fast:epochs=1 --results {tmp_path}/r"
    ran = shell(f"{BENCHKIT} {asked} --executor inline --device cpu --quiet")
    assert ran.returncode == 2
    assert "error: leaver raised SystemExit: 0\n" in ran.stderr


def test_what_the_system_refuses_is_not_blamed_on_the_output(
    benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> Never:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("benchkit.spec.registry.find", refused)
    ran = benchkit_cli("plugins")
    assert (ran.code, ran.err) == (2, "error: the system refused: Cannot allocate memory\n")
