"""benchkit new: what it writes works as it stands, and nothing half-written is left behind."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from benchkit.cli.new import cmd
from benchkit.errors import SpecError
from benchkit.scaffold.defenses import DEFENSES

CHOICES = [("attack", None), ("dataset", None)] + [("defense", kind) for kind in DEFENSES]


def new(*args: str) -> Result:
    return CliRunner().invoke(cmd, args, standalone_mode=False)


def refusal(*args: str) -> str:
    error = new(*args).exception
    assert isinstance(error, SpecError)
    assert "\n" not in str(error)
    return str(error)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package of each sort, in one folder."""
    folder = tmp_path_factory.mktemp("packages")
    for what, kind in CHOICES:
        options = ["--kind", kind] if kind else []
        name = f"my-{kind or what}"
        assert new(what, name, *options, "--dir", str(folder / name)).exception is None
    return folder


@pytest.mark.slow
def test_generated_tests_pass(packages: Path) -> None:
    folders = sorted(packages.iterdir())
    paths = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"),
            *("-c", os.devnull, "--rootdir", str(packages), "-W", "error", *map(str, folders)),
        ],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        cwd=packages,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.rsplit("\n", 2)[-2].split()[0]) > 10 * len(CHOICES)


@pytest.mark.parametrize(("what", "kind"), CHOICES)
def test_package_is_complete_and_tidy(packages: Path, what: str, kind: str | None) -> None:
    name = f"my-{kind or what}"
    module = f"benchkit_{name.replace('-', '_')}"
    package = packages / name
    test = f"tests/test_{name.replace('-', '_')}.py"
    assert {"README.md", f"{module}.py", "pyproject.toml", test} <= set(contents(package))
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["benchkit"] == {name: module}
    assert project["tool"]["setuptools"]["py-modules"] == [module]
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert "$" not in text
        assert max(map(len, text.splitlines())) <= 110
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


def test_package_is_offered_by_its_entry_point(packages: Path) -> None:
    sys.path.insert(0, str(packages / "my-attack"))
    try:
        module = importlib.import_module("benchkit_my_attack")
    finally:
        sys.path.pop(0)
    (cls,) = module.benchkit_attacks()
    assert cls.name == "my-attack"
    assert cls.__name__ == "MyAttack"


def test_default_folder_and_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "cd benchkit-stripes && pip install -e . && pytest" in new("attack", "stripes").output
    assert [path.name for path in tmp_path.iterdir()] == ["benchkit-stripes"]


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert new("attack", "stripes", "--dir", str(tmp_path / "here")).exception is None
    assert "pyproject.toml" in contents(tmp_path / "here")


def test_full_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "not empty" in refusal("attack", "stripes", "--dir", str(tmp_path))
    assert contents(tmp_path) == ["notes.txt"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: object, **options: object) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "no space left" in refusal("attack", "stripes", "--dir", str(tmp_path / "here"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["MyAttack", "my_attack", "-x", "3d", "a--b", "a-", "../x", "a b", "é"])
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    assert "lower-case" in refusal("--dir", str(tmp_path / "x"), "--", "attack", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "why"), [("class", "Python"), ("match", "Python"), ("badnets", "already")])
def test_words_that_are_taken_are_refused(name: str, why: str, tmp_path: Path) -> None:
    assert why in refusal("attack", name, "--dir", str(tmp_path / "x"))


def test_kind_is_for_defenses_only(tmp_path: Path) -> None:
    message = refusal("dataset", "mine", "--kind", "model-repair", "--dir", str(tmp_path / "x"))
    assert message.startswith("--kind is for defenses")
