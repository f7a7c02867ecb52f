"""Attacks as files: what is exported is replayed, and what does not fit is refused in one sentence."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli, Ran, RecordsIn
from here import command_here, run_here
from once import once
from poisoned_folders import told
from safetensors.torch import load_file

from benchkit.ops import attackfiles

TOY = Path(__file__).parents[1] / "toy.py"
FIXED = ("--dataset", "toy", "--recipe", "fast:epochs=8,batch=32", "-p", TOY)


@pytest.fixture(scope="session")
def made(shared_folder: Path) -> Path:
    """The results of a run of two attacks, and in ``images`` what they were exported as."""

    def make(folder: Path) -> None:
        run_here(
            "--attacks", "none,corner,badnets:target=2", "--defenses", "none", *FIXED, "--results", folder / "results"
        )
        command_here("export", "--to", "images", "--results", folder / "results", "--out", folder / "images", "-p", TOY)

    return once(shared_folder / "replayed", make)


@pytest.fixture
def exported(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder of badnets that a test may damage."""
    (folder,) = (made / "images").glob("badnets-*")
    return Path(shutil.copytree(folder, tmp_path / "bad"))


@pytest.fixture
def rerun(benchkit_cli: Cli, made: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Run attacks where the victims of ``made`` are known, with more options."""
    shutil.copytree(made / "results" / "artifacts", tmp_path / "results" / "artifacts")
    how = ("--results", tmp_path / "results", "--executor", "inline", "--device", "cpu", "--defenses", "none")

    def run(attack: str, *args: object) -> Ran:
        return benchkit_cli("run", "--attacks", attack, *FIXED, *how, *args)

    return run


def measured(records: list[dict[str, Any]], attack: str) -> dict[str, Any]:
    (found,) = [one["metrics"] for one in records if one["attack"].startswith(attack) and one["defense"] == "none"]
    return {name: value for name, value in found.items() if name not in ("seconds", "peak_mb")}


def artifacts(results: Path, stage: str) -> dict[str, dict[str, torch.Tensor]]:
    """Return what each step of a stage left, by what it is called."""
    found = {}
    for folder in (results / "artifacts" / stage).iterdir():
        label = (folder / "manifest.json").read_text()
        found[label] = load_file(folder / "tensors.safetensors")
    return found


def test_a_replayed_attack_is_the_exported_one_to_the_last_byte(
    rerun: Cli, exported: Path, made: Path, records_in: RecordsIn
) -> None:
    assert rerun(f"replay:root={exported}").code == 0
    results = exported.parent / "results"
    poisons = artifacts(results, "poison")
    (ours,) = [one for label, one in poisons.items() if "replay" in label]
    (theirs,) = [one for label, one in poisons.items() if "badnets" in label]
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)
    assert measured(records_in(results), "replay") == measured(records_in(made / "results"), "badnets:target=2")


def test_its_own_victim_is_taken_as_it_is(rerun: Cli, exported: Path, made: Path, records_in: RecordsIn) -> None:
    before = {path.name for path in (exported.parent / "results" / "artifacts" / "train").iterdir()}
    assert rerun(f"replay:root={exported},trained=true", "--recipe", "fast:epochs=1").code in (0, 1)
    results = exported.parent / "results"
    new = [path for path in (results / "artifacts" / "train").iterdir() if path.name not in before]
    weights = [load_file(path / "tensors.safetensors") for path in new]
    told_weights = load_file(exported / "weights.safetensors")
    assert any(all(one[name].equal(told_weights[name]) for name in told_weights) for one in weights)
    assert (
        measured(records_in(results), "replay")["asr"]
        == measured(records_in(made / "results"), "badnets:target=2")["asr"]
    )


def test_another_seed_leaves_out_the_rows_that_it_reserves(rerun: Cli, exported: Path, records_in: RecordsIn) -> None:
    asked = ("--seeds", "1,", "--poison-rate", "0.09")
    ran = rerun(f"replay:root={exported}", *asked)
    assert ran.code == 0, ran.err
    shares = [one["metrics"]["poisoned"] for one in records_in(exported.parent / "results")]
    assert shares == [27 / 304]


def test_the_folder_can_be_read_by_others_and_has_a_card(exported: Path) -> None:
    from torchvision.datasets import ImageFolder

    found = attackfiles.read(exported)
    train = ImageFolder(exported / "train")
    assert len(train) == len(found.of("poison", "clean")) == 304
    labels = [one.label for one in sorted(found.of("poison", "clean"), key=lambda one: one.file)]
    assert [int(train.classes[label]) for label in train.targets] == labels
    assert len(ImageFolder(exported / "stamped")) == len(found.of("stamped")) == 90
    assert told(exported)["target"] == 2
    card = (exported / "README.md").read_text()
    assert card.startswith("---\nlicense: ")
    assert "poisoned on purpose" in card
    assert "| poison | 30 |" in card


def test_the_command_of_the_card_runs_where_fewer_were_poisoned_than_asked_for(
    benchkit_cli: Cli, tmp_path: Path, records_in: RecordsIn
) -> None:
    how = ("-p", TOY, "--results", tmp_path / "results")
    asked = ("--poison-rate", "0.3", "--recipe", "fast:epochs=1,batch=32")
    run_here("--attacks", "sig:freq=2", "--dataset", "toy", "--defenses", "none", *asked, *how)
    command_here("export", "--to", "images", "--out", tmp_path / "images", *how)
    (folder,) = (tmp_path / "images").iterdir()
    card = (folder / "README.md").read_text()
    assert "with a poison rate of 12.5 %" in card  # half of the target class
    (command,) = re.findall(r"^benchkit (run .*)$", card, flags=re.MULTILINE)
    words = shlex.split(command.replace("FOLDER", str(folder)).replace("fine-pruning", "none"))
    ran = benchkit_cli(*words, *how, "--executor", "inline", "--device", "cpu")
    assert ran.code == 0, ran.err
    found = records_in(tmp_path / "results")
    assert measured(found, "replay") == measured(found, "sig")


def test_other_files_are_another_attack(exported: Path) -> None:
    before = attackfiles.read(exported).digest
    path = exported / "attack.json"
    path.write_text(path.read_text().replace('"badnets:target=2"', '"mine"'))
    assert attackfiles.read(exported).digest != before


def without(what: str, folder: Path) -> None:
    lines = (folder / "rows.csv").read_text().splitlines(keepends=True)
    (folder / "rows.csv").write_text("".join(line for line in lines if not line.startswith(what)))


MISFITS: list[tuple[Callable[[Path], object], str]] = [
    (shutil.rmtree, "there is no folder"),
    (lambda folder: without("role", folder), "must begin with the columns"),
    (lambda folder: without("stamped,1,", folder), "has no stamped version of 1 of 90 images"),
    (lambda folder: without("poison,", folder), "run with --poison-rate"),
    (lambda folder: shutil.rmtree(folder / "stamped"), "No such file"),
]


@pytest.mark.parametrize(("damage", "sentence"), MISFITS, ids=[sentence for _, sentence in MISFITS])
def test_what_does_not_fit_is_refused(
    rerun: Cli, exported: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(exported)
    ran = rerun(f"replay:root={exported}")
    assert (ran.code, sentence in ran.err, "Traceback" in ran.err) == (2, True, False), ran.err


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        ("replay", "write replay:root=PATH"),
        ("replay:root={0},target=1", "leave target= out"),
        ("replay:root={0},files=0123", "leave files= out"),
        ("replay:root={0},mapping=all-to-all", "leave target= out"),
        ("replay:root={0},trained=true --models slimnet", "run with --model narrownet"),
        ("replay:root={0} --poison-rate 0.2", "run with --poison-rate 0.0987"),
        ("replay:root={0} --dataset toy:count=100", "it was made of this dataset"),
    ],
)
def test_what_is_asked_of_it_has_to_fit(rerun: Cli, exported: Path, attack: str, sentence: str) -> None:
    words = attack.format(exported).split()
    ran = rerun(*words)
    assert (ran.code, sentence in ran.err) == (2, True), ran.err


def test_weights_are_those_that_the_folder_names(rerun: Cli, exported: Path) -> None:
    (exported / "weights.safetensors").write_bytes(b"other")
    ran = rerun(f"replay:root={exported},trained=true")
    assert ran.code == 2
    assert "is not the file that attack.json names" in ran.err


def test_all_leaves_it_out(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("plan", "--attacks", "all", "--defenses", "none", *FIXED, "--json")
    assert ran.code == 0
    assert "replay" not in ran.out


def test_benign_rows_have_no_images(benchkit_cli: Cli, made: Path, tmp_path: Path) -> None:
    ran = benchkit_cli(
        "export",
        "--to",
        "images",
        "--results",
        made / "results",
        "-p",
        TOY,
        "--attacks",
        "none",
        "--out",
        tmp_path / "x",
    )
    assert ran.code == 3
    assert "no attack is among these records" in ran.err


def test_a_lost_poisoned_set_is_named(benchkit_cli: Cli, made: Path, tmp_path: Path) -> None:
    results = Path(shutil.copytree(made / "results", tmp_path / "copy"))
    shutil.rmtree(results / "artifacts" / "poison")
    ran = benchkit_cli("export", "--to", "images", "--results", results, "--out", tmp_path / "x", "-p", TOY)
    assert ran.code == 2
    assert "2 victims are not among the artifacts" in ran.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "attack",
    ["badnets:mapping=all-to-all", "badnets:target=-1", "invisible:base=badnets", "coverer"],
    ids=["all-to-all", "a drawn target", "a wrapper with controls", "covers"],
)
def test_every_kind_of_attack_comes_back(
    benchkit_cli: Cli, made: Path, tmp_path: Path, records_in: RecordsIn, attack: str
) -> None:
    results = tmp_path / "results"
    shutil.copytree(made / "results" / "artifacts", results / "artifacts")
    plugins = ("-p", TOY, "-p", TOY.with_name("coverer.py"), "--results", results)
    asked = ("--defenses", "none", "--dataset", "toy", "--recipe", "fast:epochs=8,batch=32", *plugins)
    how = ("--executor", "inline", "--device", "cpu")
    assert benchkit_cli("run", "--attacks", attack, *asked, *how).code == 0
    ran = benchkit_cli("export", "--to", "images", "--out", tmp_path / "images", *plugins)
    assert ran.code == 0, ran.err
    (folder,) = (tmp_path / "images").iterdir()
    assert benchkit_cli("run", "--attacks", f"replay:root={folder},trained=true", *asked, *how).code == 0
    found = records_in(results)
    assert measured(found, "replay") == measured(found, attack.partition(":")[0])


@pytest.mark.slow
def test_scenes_come_back_to_the_last_byte(tmp_path: Path, records_in: RecordsIn) -> None:
    results, how = tmp_path / "results", ("--defenses", "none", "--dataset", "scenes", "--recipe", "fast:epochs=1")
    run_here("--attacks", "badnets", *how, "--results", results)
    command_here("export", "--to", "images", "--results", results, "--out", tmp_path / "images")
    (folder,) = (tmp_path / "images").iterdir()
    run_here("--attacks", f"replay:root={folder}", *how, "--results", results)
    poisons = artifacts(results, "poison")
    ours, theirs = (next(one for label, one in poisons.items() if name in label) for name in ("replay", "badnets"))
    assert all(ours[name].equal(theirs[name]) for name in ours)
    assert measured(records_in(results), "replay") == measured(records_in(results), "badnets")
