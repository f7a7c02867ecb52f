"""Completion through real shells: what TAB makes of a command line, and what asking imports."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixture_types import Cli

from benchkit.cli import COMMANDS
from benchkit.cli._complete import named, offered, source_of
from benchkit.spec.registry import load
from benchkit.training.recipes import RECIPES

BIN = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
TOY = Path(__file__).parents[1] / "toy.py"
HEAVY = ("torch", "timm", "numpy", "rich", "benchkit_plugins.attacks.badnets")


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"needs {shell}")


def bash(script: str) -> str:
    ran = subprocess.run(
        ["bash", "--norc", "-c", f'eval "$(benchkit completion bash)"\n{script}'],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": BIN},
    )
    assert ran.stderr == ""
    return ran.stdout


def replies(*words: str) -> list[str]:
    """Return what the completion function offers when the cursor is behind these words, split as bash splits them."""
    quoted = " ".join(f"'{word}'" for word in ("benchkit", *words))
    call = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _benchkit_completion benchkit"
    return bash(f"{call}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"").split()


@needs("bash")
def test_commands_and_options() -> None:
    assert set(replies("")) == set(COMMANDS)
    assert replies("repo") == ["report"]
    assert replies("cache", "") == ["ls", "prune"]
    assert "--attacks" in replies("run", "--att")
    assert replies("run", "--executor", "r") == ["ray"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "--attacks", "badnets,bl"], ["badnets,blend"]),
        (["run", "--attacks", "all,-wan"], ["all,-wanet"]),
        (["run", "--attacks", "al"], ["all"]),
        (["plan", "--defenses", "freq"], ["freq-detector", "freq-filter"]),
        (["run", "--datasets", "cifar"], ["cifar10", "cifar100"]),
        (["run", "--models", "narrow"], ["narrownet", "narrownet_x2"]),
        (["run", "--models", "resnet18"], ["resnet18", "resnet18d"]),
        (["run", "--recipe", "rao"], ["rao2024"]),
        (["show", "neural"], ["neural-cleanse"]),
        (["scan", "images", "x", "--defense", "freq-d"], ["freq-detector"]),
        (["run", "--attacks", "blend", ":", "alpha", "=", "0.2,wan"], ["0.2,wanet"]),
        (["run", "--attacks", "=", "badnets,bl"], ["badnets,blend"]),
        (["run", "--attacks", "=", "blend", ":", "alpha", "=", "0.2,wan"], ["0.2,wanet"]),
        (["export", "--to", "hf", "--defenses", "strip,shr"], ["strip,shrink-pad"]),
        (["run", "-p", str(TOY), "--attacks", "cor"], ["corner"]),
    ],
)
@needs("bash")
def test_names(words: list[str], offered: list[str]) -> None:
    assert replies(*words) == offered


@needs("fish")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("repo", "report"),
        ("run --attacks badnets,bl", "badnets,blend"),
        ("run --attacks=blend:alpha=0.2,wan", "--attacks=blend:alpha=0.2,wanet"),
        ("show neural", "neural-cleanse"),
    ],
)
def test_names_in_fish(tmp_path: Path, line: str, offered: str) -> None:
    (tmp_path / "typed").write_text(f"benchkit {line}")
    script = f"benchkit completion fish | source; complete -C (cat {tmp_path}/typed)"
    env = {**os.environ, "PATH": BIN, "HOME": str(tmp_path)}
    ran = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True, env=env)
    assert ran.stdout.rstrip("\n").partition("\t")[0] == offered


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(benchkit completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source <(benchkit completion zsh)"),
}


@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in SHELLS])
@pytest.mark.parametrize(
    ("typed", "finished"),
    [
        ("benchkit run --attacks=blend:alpha=0.3,badn", "--attacks=blend:alpha=0.3,badnets "),
        ("benchkit run --attacks badnets,ble", "--attacks badnets,blend "),
    ],
)
def test_a_tab_in_a_terminal_finishes_the_word(tmp_path: Path, shell: str, typed: str, finished: str) -> None:
    command, setup = SHELLS[shell]
    parent, child = pty.openpty()
    env = {"PATH": BIN, "HOME": str(tmp_path), "PS1": "READY ", "TERM": "dumb", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=env)
    os.close(child)
    try:
        _until(parent, "READY ")
        os.write(parent, f"{setup}; PS1=GO''NOW\n".encode())
        _until(parent, "GONOW")
        os.write(parent, f"{typed}\t".encode())
        _until(parent, finished)
    finally:
        process.kill()
        process.wait()
        os.close(parent)


def _until(terminal: int, text: str) -> None:
    seen, end = "", time.monotonic() + 60
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"no {text!r} in {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace").replace("\r", "")


@pytest.mark.parametrize("words", ["\nrun\n--attacks\nbadnets,bl", "\nrun\n--models\nres", "\nshow\n"])
def test_asking_imports_nothing_heavy(words: str) -> None:
    code = (
        "import sys\nfrom benchkit import cli\nsys.argv = ['benchkit']\n"
        f"try: cli._code()\nfinally: print([one for one in {HEAVY!r} if one in sys.modules], file=sys.stderr)"
    )
    asked = {
        "_BENCHKIT_COMPLETE": "bash_complete",
        "COMP_WORDS": f"benchkit{words}",
        "COMP_CWORD": str(words.count("\n")),
    }
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **asked})
    assert ran.stderr.strip() == "[]"
    assert "plain," in ran.stdout


def test_names_are_those_that_loading_finds() -> None:
    registry = load()
    for kind in ("attacks", "defenses", "datasets"):
        assert named(kind, "", ()) == sorted(registry.kind(kind))
    assert named("recipes", "", ()) == sorted(RECIPES)
    assert named("models", "", ()) == [
        "airbench94",
        "mntd_cnn",
        "narrownet",
        "narrownet_x2",
        "preactresnet18",
        "slimnet",
    ]


def test_source_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    assert offered("def benchkit_attacks(:", "attacks") == []
    assert offered("def benchkit_attacks():\n    return [Elsewhere]", "attacks") == []
    assert source_of("no_such_package.module") is None
    assert source_of("benchkit_plugins.attacks.nothing") is None


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete")])
def test_the_scripts_say_where_to_put_them(benchkit_cli: Cli, shell: str, mark: str) -> None:
    script = benchkit_cli("completion", shell)
    assert script.code == 0
    assert mark in script.out
    last = script.out.splitlines()[-1]
    assert last.startswith("# put it into ")
    assert "benchkit" in last


def test_an_unknown_shell_is_one_sentence(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("completion", "tcsh")
    assert ran.code == 2
    assert "'tcsh' is not one of" in ran.err
