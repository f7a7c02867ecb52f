"""benchkit leaderboard through the command line, on records of a real run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fixture_types import Cli


@pytest.fixture
def results(toy_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_world / "results", tmp_path / "results"))


TOY = ("-p", str(Path(__file__).parents[1] / "toy.py"), "--data-root", ".")


def test_a_run_passes_its_check_and_becomes_a_site(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    ran = benchkit_cli("leaderboard", "check", results, *TOY)
    assert (ran.code, ran.out, ran.err) == (0, "2 records, no problems\n", "")
    built = benchkit_cli("leaderboard", "build", results, "--out", tmp_path / "site")
    assert built.code == 0
    assert "1 track, 1 of them complete" in built.out
    assert len(list((tmp_path / "site").iterdir())) == 2


def test_a_number_that_was_changed_is_found(benchkit_cli: Cli, results: Path) -> None:
    path = next(path for path in results.rglob("*.json") if json.loads(path.read_text())["attack"] == "corner")
    found = json.loads(path.read_text())
    found["metrics"]["asr"] = 0.987654
    path.write_text(json.dumps(found))
    ran = benchkit_cli("leaderboard", "check", results, *TOY)
    assert ran.code == 1
    assert "asr is 0.987654, which no number of" in ran.out
    assert ran.out.endswith("2 records, 2 problems\n")


def test_other_code_and_unknown_plugins_are_noted(benchkit_cli: Cli, results: Path) -> None:
    path = next(results.rglob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "a" * 64}))
    assert "1 of 2 records were made with other code" in benchkit_cli("leaderboard", "check", results, *TOY).err
    ran = benchkit_cli("leaderboard", "check", results)
    assert ran.code == 0
    assert "note: keys were not checked of toy" in ran.err


def test_a_defense_that_is_not_installed_hides_no_other_record(
    benchkit_cli: Cli, results: Path, tmp_path: Path
) -> None:
    path = next(results.rglob("*.json"))
    found = json.loads(path.read_text())
    (path.parent / "other.json").write_text(json.dumps(found | {"defense": "gone", "key": "b" * 64}))
    ran = benchkit_cli("leaderboard", "check", results, "--partial", *TOY)
    assert (ran.code, ran.out) == (0, "3 records, no problems\n")
    assert ran.err.startswith("note: keys were not checked of defense gone: there is no defense called 'gone'")
    assert ran.err.count("note:") == 1
    assert _added(benchkit_cli, results, tmp_path / "board") == (0, "2 added, 0 replaced, 0 were there\n")


def test_files_that_records_name_are_not_looked_at_unasked(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    path = next(results.rglob("*.json"))
    named = f"image-folder:root={tmp_path / 'private'}"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": named}))
    ran = benchkit_cli("leaderboard", "check", results, "--partial", *TOY[:2])
    assert f"keys were not checked of {named}: it is made of files: say with --data-root" in ran.err
    assert "private" in benchkit_cli("leaderboard", "check", results, "--partial", *TOY).err.split("made of")[0]


def test_no_records_is_one_sentence(benchkit_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert benchkit_cli("leaderboard", "check", tmp_path / "empty").code == 3
    assert benchkit_cli("leaderboard", "check", tmp_path / "gone").code == 2
    assert benchkit_cli("leaderboard", "build", tmp_path / "empty", "--out", tmp_path / "site").code == 3
    assert not (tmp_path / "site").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    ran = benchkit_cli("leaderboard", "build", results, "--out", tmp_path / "site")
    assert ran.code == 2
    assert "site" in ran.err


def test_the_committed_records_pass_and_become_a_site(benchkit_cli: Cli, tmp_path: Path) -> None:
    records = Path(__file__).parents[2] / "benchmarks" / "leaderboard"
    ran = benchkit_cli("leaderboard", "check", records, "--partial", "--against", records)
    assert ran.code == 0, ran.out
    assert ran.out.endswith("records, no problems\n")
    assert benchkit_cli("leaderboard", "build", records, "--out", tmp_path / "site").code == 0
    assert "Nobody said yet." not in (tmp_path / "site" / "index.html").read_text(), "tracks.toml has its limits"


def _added(benchkit_cli: Cli, results: Path, board: Path, *more: str) -> tuple[int, str]:
    ran = benchkit_cli("leaderboard", "add", "--results", results, "--to", board, *TOY, *more)
    return ran.code, ran.out.removeprefix(f"{board}: ")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_records_are_added_once_as_they_are_with_their_pictures(
    benchkit_cli: Cli, results: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    assert _added(benchkit_cli, results, board, "--attacks", "corner") == (0, "1 added, 0 replaced, 0 were there\n")
    assert _added(benchkit_cli, results, board) == (0, "1 added, 0 replaced, 1 were there\n")
    assert _files(board) == _files(results)
    assert any(name.endswith(".png") for name in _files(board))
    assert benchkit_cli("leaderboard", "check", board, *TOY).out == "2 records, no problems\n"


def test_a_record_takes_the_place_of_an_older_one_and_of_its_pictures(
    benchkit_cli: Cli, results: Path, tmp_path: Path
) -> None:
    board = tmp_path / "board"
    _added(benchkit_cli, results, board)
    path = next(path for path in board.rglob("*.json") if json.loads(path.read_text())["attack"] == "corner")
    wanted = _files(board)
    old = path.with_name("seed0-aaaaaaaa.json")
    old.write_text(json.dumps(json.loads(path.read_text()) | {"key": "a" * 64}))
    path.unlink()
    path.with_suffix("").rename(old.with_suffix(""))
    assert _added(benchkit_cli, results, board) == (0, "0 added, 1 replaced, 1 were there\n")
    assert _files(board) == wanted


def test_records_of_other_code_are_not_added(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    paths = sorted(results.rglob("*.json"))
    for count, path in enumerate(paths, 1):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "a" * 64}))
        ran = benchkit_cli("leaderboard", "add", "--results", results, "--to", board, *TOY)
        assert f"{count} of 2 records were made with other code" in ran.err
        assert ran.code == (3 if count == len(paths) else 0)
        assert "added" in ran.out or "none of these records" in ran.err
    ran = benchkit_cli("leaderboard", "add", "--results", results, "--to", tmp_path / "other", *TOY[:2])
    assert ran.code == 3
    assert not (tmp_path / "other").exists()


def test_nothing_is_added_where_something_speaks_against_a_record(
    benchkit_cli: Cli, results: Path, tmp_path: Path
) -> None:
    path = next(results.rglob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed", "error": "no memory"}))
    code, out = _added(benchkit_cli, results, tmp_path / "board")
    assert code == 1
    assert "it is no result: failed, no memory" in out
    assert out.endswith("nothing was added\n")
    assert not (tmp_path / "board").exists()


def test_a_leaderboard_that_cannot_be_written_is_one_sentence(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = benchkit_cli("leaderboard", "add", "--results", results, "--to", tmp_path / "file" / "board", *TOY)
    assert ran.code == 2
    assert ran.err.startswith("error: cannot write the leaderboard ")
    assert benchkit_cli("leaderboard", "add", "--results", results, *TOY).code == 2


def test_a_link_out_of_the_leaderboard_is_not_followed(benchkit_cli: Cli, results: Path, tmp_path: Path) -> None:
    board, outside = tmp_path / "board", tmp_path / "outside"
    _added(benchkit_cli, results, board)
    attacks = next(path for path in board.rglob("corner") if path.is_dir()).parent
    shutil.move(attacks, outside)
    attacks.symlink_to(outside)
    for path in outside.rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "a" * 64}))
    before = _files(outside)
    ran = benchkit_cli("leaderboard", "add", "--results", results, "--to", board, *TOY)
    assert ran.code == 2
    assert "is a link out of the leaderboard, which is not followed" in ran.err
    assert _files(outside) == before
