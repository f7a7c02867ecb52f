"""Suites and published numbers by name: from this package, from others, and from a wheel in an empty folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from fixture_types import Cli
from report_records import record

ROOT = Path(__file__).parents[2]


def test_suites_are_listed_with_size_and_data(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("suites")
    assert ran.code == 0
    (line,) = [line for line in ran.out.splitlines() if line.startswith("zeng2021-table2")]
    assert "72 cells" in line
    assert line.endswith("gtsrb")
    told = json.loads(benchkit_cli("suites", "--json").out)
    assert {one["name"] for one in told["suites"]} == {
        path.stem for path in (ROOT / "benchmarks/suites").glob("*.toml")
    }
    assert told["published"] == ["zeng2021"]


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


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('attacks = "badnets,blend:alpha=0.3"\ndefenses = ["strip"]\nseeds = 3', "2 attacks x 2 defenses x 1 dataset"),
        ('attacks = ["all"]\ndefenses = "strip"', "all attacks x 2 defenses"),
    ],
)
def test_the_size_counts_what_is_named(
    benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: str
) -> None:
    bring(tmp_path, monkeypatch, text)
    (told,) = [one for one in json.loads(benchkit_cli("suites", "--json").out)["suites"] if one["name"] == "other"]
    assert told["size"].startswith(size)


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


@pytest.mark.slow
def test_a_wheel_has_them_in_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("build")
    # A copy: a build leaves metadata beside the sources, which later runs of Python there would take for installed.
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(".*", "*.egg-info", "_build"))
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(copy)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    (tmp_path / "empty").mkdir()
    # Nothing of the checkout is on the path: the code comes from the wheel, its dependencies from this environment.
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from benchkit.cli import main; main()"
    for command in (["suites"], ["plan", "smoke"]):
        ran = subprocess.run(
            [sys.executable, "-c", code, *command], cwd=tmp_path / "empty", check=False, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        names = archive.getnames()
    assert any(name.endswith("tests/cli/test_shipped.py") for name in names)
    assert any(name.endswith("docs/index.md") for name in names)
