"""Numbers nobody means, files nobody writes, plugins that raise what nobody catches: one short sentence each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
BENCHKIT = Path(sys.executable).parent / "benchkit"
FIXED = ("--dataset", "toy", "--recipe", "fast:epochs=1,batch=32", "-p", TOY, "--device", "cpu")
DIGITS, LONG = "9" * 5000, "a" * 160_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--population", "99999999999"), "ask for 100000 models or fewer"),
        (("--population", DIGITS), "ask for 100000 models or fewer"),
        (("--defenses", "mna:models=99999999999"), ""),
        (("--seeds", DIGITS), "a seed is at most 9223372036854775807"),
        (("--seeds", "9223372036854775808,"), "a seed is at most 9223372036854775807"),
        (("--poison-rate", DIGITS), "poison rate must be above 0 and under 1"),
        (("--recipe", f"fast:epochs={DIGITS}"), "must be a whole number"),
        (("--attacks", f"badnets:size={DIGITS}"), "must be a whole number"),
        (("--attacks", f"blend:alpha=1{'0' * 400}/1"), "must be a number"),
        (("--attacks", LONG), "there is no attack called 'aaa"),
        (("--attacks", ",".join(["badnets"] * 20_000) + ",no such"), "there is no attack called 'no such'"),
        (("--attacks", "badnets:size=" + "1" * 160_000), "badnets:size"),
        (("--models", LONG), "aaa"),
        (("--device", LONG), "there is no device"),
        (("--shard", LONG), "such as 1/4"),
        ((LONG,), ""),
    ],
)
def test_options(benchkit_cli: Cli, tmp_path: Path, command: str, args: tuple[str, ...], words: str) -> None:
    given = ("--attacks", "corner", "--defenses", "head-mean", *FIXED, "--results", tmp_path / "r")
    ran = benchkit_cli(command, *given, *args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err) < 2000
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("seconds", ["nan", "0", "-1", "soon"])
def test_a_timeout_is_a_number_of_seconds(benchkit_cli: Cli, seconds: str) -> None:
    ran = benchkit_cli("run", "--attacks", "none", "--timeout", seconds)
    assert (ran.code, "Invalid value for '--timeout'" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"attacks = {'[' * 5000}{']' * 5000}", "nested too deeply"),
        (f"{'.'.join('a' * 5000)} = 1", "unknown key"),
        (f"seeds.{'.'.join('a' * 5000)} = 1", "nested too deeply"),
        (f"seeds = {DIGITS}", "too many digits"),
        (f"seeds = 0x{'f' * 5000}", "too many digits"),
        (f"seeds = [{'true,' * 50_000}]", "must be text"),
        (f"attacks = {{ a = '{LONG}' }}", "must be text"),
        (f"{LONG} = 1", "unknown key"),
    ],
)
def test_suites(benchkit_cli: Cli, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "suite.toml").write_text(text)
    ran = benchkit_cli("run", tmp_path / "suite.toml")
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err) < 2000


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("env", [{}, {"COMP_WORDS": "benchkit\nru", "COMP_CWORD": "x"}, {"COMP_CWORD": "1"}])
def test_a_shell_that_asks_badly(shell: str, env: dict[str, str]) -> None:
    whole = {**os.environ, "_BENCHKIT_COMPLETE": f"{shell}_complete", **env}
    ran = subprocess.run([BENCHKIT], env=whole, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 1


WILD = '''
from dataclasses import dataclass
import benchkit

class Wild(BaseException):
    """Nobody's child."""

def wild(here):
    if here == WHERE:
        raise Wild("W" * 160_000)

wild("import")

@dataclass(frozen=True)
class Beast(benchkit.InputDetector):
    """Raises."""
    name = "beast"
    def __post_init__(self): wild("make")
    def other_datasets(self): wild("others"); return ()
    def check(self, shape, classes): wild("check")
    def prepare(self, scene): wild("prepare"); return {}
    def score(self, images, scene): wild("score"); return images.float().mean((1, 2, 3))

@benchkit.hookimpl
def benchkit_defenses():
    wild("hook")
    return [Beast]

@benchkit.hookimpl
def benchkit_model(name, classes, channels, height, width):
    wild("model")

@benchkit.hookimpl
def benchkit_cell_finished(record): wild("finished")
'''


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("import", 2, "could not be loaded and was left out: Wild: WWW"),
        ("hook", 2, "failed in benchkit_defenses: Wild: WWW"),
        ("make", 2, "a plugin ended the program (Wild: WWW"),
        ("others", 2, "a plugin ended the program (Wild: WWW"),
        ("model", 2, "Wild: WWW"),
        ("check", 2, "error: beast raised Wild: WWW"),
        ("prepare", 1, "prepare raised Wild: WWW"),
        ("score", 1, "score raised Wild: WWW"),
        ("finished", 0, "raised Wild: WWW"),
    ],
)
def test_a_plugin_that_raises_what_is_no_exception(
    benchkit_cli: Cli, tmp_path: Path, records_in: RecordsIn, where: str, code: int, words: str
) -> None:
    plugin = tmp_path / f"wild_{where}.py"
    plugin.write_text(f"WHERE = {where!r}\n{WILD}")
    asked = ("--attacks", "corner", "--defenses", "beast", "--no-victims", "-p", plugin, "--jobs", "1")
    ran = benchkit_cli("run", *asked, *FIXED, "--results", tmp_path / "r")
    assert words in ran.err
    assert ran.code == code
    assert "Traceback" not in ran.err
    assert len(ran.err) < 4000
    assert all(len(record["error"] or "") < 2000 for record in records_in(tmp_path / "r"))
    assert all(len(record.get("traceback") or "") < 21_000 for record in records_in(tmp_path / "r"))


def test_an_exception_of_a_plugin_that_nobody_expects_names_its_line(benchkit_cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "wild.py"
    plugin.write_text("WHERE = 'others'\n" + WILD.replace("(BaseException)", "(ValueError)"))
    asked = ("--attacks", "corner", "--defenses", "beast", "--no-victims", "-p", plugin)
    ran = benchkit_cli("run", *asked, *FIXED, "--results", tmp_path / "r")
    assert ran.code == 2
    assert "a plugin ended the program (Wild: " in ran.err
    assert "wild.py:11)" in ran.err


@pytest.mark.parametrize("command", [("run", "--attacks", "badnets"), ("plugins", "--check"), ("show", "badnets")])
def test_without_torch_the_error_says_that_it_is_torch(
    benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = benchkit_cli(*command)
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("error: torch cannot be imported (ModuleNotFoundError: ")
    assert line.endswith("-m pip install torch")


def test_a_plugin_that_cannot_be_loaded_is_not_said_to_be_unknown(
    benchkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "benchkit_plugins.attacks.badnets", None)
    ran = benchkit_cli("plan", "--attacks", "badnets")
    assert ran.code == 2
    assert ran.err.splitlines()[-1].startswith("error: plugin 'badnets' (benchkit) could not be loaded")
