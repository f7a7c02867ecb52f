"""Suites and published numbers by name: from this package, from others, and from a wheel in an empty folder."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from fixture_types import Cli
from report_records import record

from benchkit.spec.shipped import told

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "benchmarks/suites").glob("*.toml"))


def test_suites_are_listed_with_size_and_data(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("suites")
    assert ran.code == 0
    (line,) = [line for line in ran.out.splitlines() if line.startswith("zeng2021-table2")]
    assert line.split()[-5:] == ["72", "3", "9", "gtsrb,", "cifar10"]
    told = json.loads(benchkit_cli("suites", "--json").out)
    suites = {one["name"]: one for one in told["suites"]}
    assert suites.keys() == {path.stem for path in SUITES}
    assert not any(one["problem"] for one in suites.values())
    assert suites["zeng2021-table4"]["data"] == ["image-folder:root=tsrd", "cifar10", "gtsrb"]
    # For each seed one meta detector's shadow models, which all three share, and nothing, M and B, 256 of each.
    assert suites["mna-jumbo"]["models"] == 3 * (4608 + 3 * 256)
    assert suites["zeng2021-manipulations"]["fits"] == 3 * 11
    assert told["published"] == ["zeng2021"]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_a_head_is_whole_sentences_without_its_commands(path: Path) -> None:
    head = list(itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines()))
    parts = itertools.groupby(head, key=lambda line: line.startswith("#   "))
    assert all([*lines][-1].endswith(".") for is_command, lines in parts if not is_command)
    assert "benchkit" not in told(path).about


def test_a_suite_goes_by_name_and_a_file_of_that_name_comes_first(
    benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert benchkit_cli("plan", "smoke").out.startswith("3 attacks x 4 defenses")
    (tmp_path / "smoke").write_text('attacks = "badnets"\n')
    assert benchkit_cli("plan", "smoke").out.startswith("1 attack x 1 defense")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smoek", "there is no file smoek, nor a suite of that name (did you mean 'smoke'?)"),
        ("gone.toml", "there is no suite file gone.toml"),
        ("folder/smoke", "there is no suite file folder/smoke"),
    ],
)
def test_an_unknown_suite_is_one_sentence(benchkit_cli: Cli, name: str, words: str) -> None:
    ran = benchkit_cli("plan", name)
    assert ran.code == 2
    assert words in ran.err


def test_published_numbers_go_by_name(benchkit_cli: Cli, tmp_path: Path) -> None:
    found = record("badnets", "freq-detector", dataset="cifar10", metrics={"acc_argmax": 0.9, "bdr_argmax": 0.9})
    (tmp_path / "one.json").write_text(json.dumps(found))
    ran = benchkit_cli("report", "--results", tmp_path, "--against", "zeng2021")
    assert ran.code == 0
    assert "94.1" in ran.out
    assert benchkit_cli("report", "--results", tmp_path, "--against", "zeng2020").code == 2


def test_a_suite_that_is_no_toml_is_one_sentence(
    benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, monkeypatch, "attacks = [")
    ran = benchkit_cli("suites")
    assert ran.code == 2
    assert "other.toml cannot be read" in ran.err


def test_the_size_is_that_of_the_plan(benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, monkeypatch, 'attacks = "badnets,blend:alpha=0.3"\ndefenses = ["strip"]\nseeds = 3')
    (found,) = [one for one in json.loads(benchkit_cli("suites", "--json").out)["suites"] if one["name"] == "other"]
    assert found["product"] == "2 attacks x 2 defenses x 1 dataset x 1 model x 3 seeds"
    assert (found["cells"], found["models"], found["data"]) == (12, 9, ["scenes"])
    line = benchkit_cli("plan", "other", "--results", tmp_path / "results").out.splitlines()[0]
    assert line.startswith(f"{found['product']} = 12 cells, 0 done; 9 victims")


def test_a_suite_that_cannot_be_planned_is_listed_with_the_reason(
    benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, monkeypatch, '# One of mine.\nattacks = "badnest"\n')
    ran = benchkit_cli("suites")
    assert ran.code == 0
    words = " ".join(ran.out.split())
    assert "One of mine. It cannot be planned: there is no attack called 'badnest'" in words
    assert "smoke" in words


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Install a package that brings a suite with this text, ``other``."""
    (folder / "bk_more").mkdir()
    (folder / "bk_more" / "other.toml").write_text(text)
    info = folder / "bk_more-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bk-more\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchkit.files]\nmore = bk_more\ngone = bk_gone\n")
    monkeypatch.syspath_prepend(folder)


def test_other_packages_bring_suites(benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, monkeypatch, '# A run of others.\nattacks = ["badnets"]\n')
    assert "A run of others." in benchkit_cli("suites").out
    assert benchkit_cli("plan", "other").code == 0


SHORT = (
    "run", "smoke", "--attacks", "badnets", "--defenses", "strip", "--recipe", "fast:epochs=1", "--model", "slimnet",
    "--device", "cpu", "--jobs", "1",
)  # fmt: skip
"""The quickest suite, one cell of it, with a quarter of its epochs on a smaller network."""


def installed(wheel: Path, venv: Path) -> Path:
    """Install a wheel into a new virtual environment that sees this one's packages; return its ``bin``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    # Last, or pip would take the benchkit of this environment for installed. Folders that are named here are searched
    # after the new one's own, and no .pth file in them is read: so the checkout is not on the path.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "beside.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return venv / "bin"


@pytest.mark.slow
def test_a_wheel_has_them_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("build")
    # A copy: a build leaves metadata beside the sources, which later runs of Python there would take for installed.
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".*", "*.egg-info", "_build"))
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    programs, empty = installed(wheel, tmp_path / "venv"), tmp_path / "empty"
    empty.mkdir()

    def output(*command: str | Path) -> str:
        ran = subprocess.run(command, cwd=empty, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    code = "import benchkit, benchkit_plugins; print(benchkit.__file__, *benchkit_plugins.__path__)"
    where = output(programs / "python", "-c", code)
    assert all(Path(one).is_relative_to(tmp_path / "venv") for one in where.split())
    assert "smoke" in output(programs / "benchkit", "suites")
    assert "| badnets " in output(programs / "benchkit", *SHORT)
    assert list(empty.glob("benchkit-results/results/scenes/slimnet/badnets/strip/*.json"))
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    assert any(name.endswith("tests/cli/test_shipped.py") for name in names)
    assert any(name.endswith("docs/index.md") for name in names)
