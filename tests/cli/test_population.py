"""Shadow models and populations, through the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from fixture_types import Cli, Comparable, FindRecord, RecordsIn
from here import run_here
from once import once

from benchkit.protocol import generator
from benchkit.store.store import Store

PLUGIN = Path(__file__).parents[1] / "shadowy.py"
SIX = ("--attacks", "corner", "--population", "6")


@pytest.fixture(scope="session")
def six(shared_folder: Path, toy_recipe: tuple[str, ...]) -> Path:
    """The results folder of a run that judged six models of corner and six benign ones; nobody writes into it."""

    def make(folder: Path) -> None:
        asked = ["--attacks", "none,corner", "--defenses", "probe", *SIX[2:], "-p", str(PLUGIN), *toy_recipe]
        run_here(*asked, "--results", folder)

    return once(shared_folder / "six", make)


@pytest.fixture
def run(toy_run: Cli) -> Cli:
    return lambda *args: toy_run(*args, "-p", PLUGIN)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where shadow models are written down whose training sets were made."""
    (tmp_path / "log").touch()
    return tmp_path / "log"


def numbers(log: Path) -> list[int]:
    return sorted(int(line) for line in log.read_text().split())


def test_shadow_models_are_trained_once_whatever_is_learned_from_them(run: Cli, cell: FindRecord, log: Path) -> None:
    ran = run("--attacks", "none,corner", "--defenses", f"probe:log={log}")
    assert ran.code == 0, ran.err
    assert "4 models for model detectors, 4 to train" in ran.err
    assert numbers(log) == list(range(4))
    again = run("--attacks", "none,corner", "--defenses", f"probe:where=0.4,log={log}")
    assert again.code == 0, again.err
    assert "4 models for model detectors, 0 to train" in again.err
    assert numbers(log) == list(range(4))
    found = cell("corner", f"probe:log={log}")
    assert found["metrics"]["auroc"] == 1
    assert found["costs"]["shadows"]["seconds"] > 0
    assert found["metrics"]["seconds"] > found["costs"]["shadows"]["seconds"]


def test_more_shadow_models_are_trained_on_top_of_those_there_are(run: Cli, log: Path) -> None:
    assert run("--attacks", "none", "--defenses", f"probe:models=8,log={log}").code == 0
    assert run("--attacks", "none", "--defenses", f"probe:models=9,log={log}").code == 0
    assert numbers(log) == list(range(9))


def test_shadow_models_of_a_named_architecture_serve_victims_of_any(run: Cli, log: Path) -> None:
    ran = run(
        "--attacks",
        "none",
        "--defenses",
        f"probe:models=2,arch=narrownet,log={log}",
        "--models",
        "narrownet,test_resnet",
    )
    assert ran.code == 0, ran.err
    assert numbers(log) == [0, 1]


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("mode", "said"),
    [("text", "must be a benchkit.Split"), ("shape", "images of another shape"), ("label", "labels outside 0..3")],
)
def test_a_broken_description_costs_its_cells_and_says_so(run: Cli, cell: FindRecord, mode: str, said: str) -> None:
    ran = run("--attacks", "none,corner", "--defenses", f"probe:models=2,mode={mode},brightest")
    assert ran.code == 1
    failed, judged = cell("corner", f"probe:models=2,mode={mode}"), cell("corner", "brightest")
    assert said in failed["error"]
    assert judged["status"] == "ok"
    assert (failed["population"], judged["population"]) == (1, 0)


def test_an_architecture_nobody_knows_is_refused_before_anything_runs(run: Cli, tmp_path: Path) -> None:
    ran = run("--attacks", "none", "--defenses", "probe:arch=narownet")
    assert ran.code == 2
    assert "narrownet" in ran.err
    assert not (tmp_path / "results" / "artifacts" / "train").exists()


def test_a_population_is_judged_with_an_interval(six: Path, records_in: RecordsIn) -> None:
    judged = {record["attack"]: record["metrics"] for record in records_in(six) if record["defense"] == "probe"}
    found = judged["corner"]
    assert found["models"] == 6
    assert 0.8 < found["auroc_low"] <= found["auroc"] <= found["auroc_high"] <= 1
    assert found["bdr"] > 0.5 > judged["none"]["fpr"]
    assert found["auroc"] * 36 == pytest.approx(round(found["auroc"] * 36 * 2) / 2)


def test_a_score_that_is_the_wrong_way_round_is_called_that(
    six: Path, run: Cli, cell: FindRecord, tmp_path: Path
) -> None:
    shutil.copytree(six, tmp_path / "results")
    ran = run(*SIX, "--defenses", "probe:sign=-1")
    assert ran.code == 0, ran.err
    assert "0 to train" in ran.err
    record = cell("corner", "probe:sign=-1")
    assert record["metrics"]["auroc"] < 0.2
    assert any("wrong way round" in warning for warning in record["warnings"])


def test_the_members_of_a_population_differ_and_repeat(
    run: Cli, cell: FindRecord, comparable: Comparable, tmp_path: Path, toy_run: Cli
) -> None:
    args = ("--attacks", "corner", "--defenses", "head-mean", "--population", "2")
    assert run(*args).code == 0
    store = Store(tmp_path / "results")
    (key,) = [path.name for path in (store.root / "artifacts" / "population").iterdir()][:1]
    weights = store.load("population", key)["net.head.weight"]
    assert len({round(float(one.abs().sum()), 4) for one in weights}) == 2
    other = tmp_path / "again"
    assert toy_run(*args, "-p", PLUGIN, results=other).code == 0
    assert Store(other).load("population", key)["net.head.weight"].equal(weights)


def drawn_class(purpose: str) -> int:
    return int(torch.randint(4, (), generator=generator(0, "attacker", purpose)))


def judged_as(tmp_path: Path, attack: str) -> list[float]:
    """Return the scores that the audits of an attack's models came to."""
    store = Store(tmp_path / "results")
    found: list[float] = []
    for path in (store.root / "artifacts" / "audit").iterdir():
        meta = store.meta("audit", path.name)
        found += meta["info"]["score"] if f" {attack} " in meta["label"] else []
    return found


@pytest.mark.parametrize("attack", ["corner:target=-1", "invisible:base=corner,base.target=-1,k=12"])
def test_a_drawn_target_is_each_models_own(run: Cli, tmp_path: Path, attack: str) -> None:
    """The very classes that each model's own stream of random numbers gives, and not one for all of them."""
    assert run("--attacks", attack, "--defenses", "leads", "--population", "4", "--poison-rate", "0.3").code == 0
    wanted = [drawn_class(f"draw {number}") for number in range(4)]
    assert len(set(wanted)) > 2
    assert judged_as(tmp_path, attack) == wanted


def test_a_fixed_target_is_that_of_all_models(run: Cli, tmp_path: Path) -> None:
    assert run("--attacks", "corner:target=3", "--defenses", "leads", "--population", "2").code == 0
    assert judged_as(tmp_path, "corner:target=3") == [3.0] * 2


def test_a_victim_alone_has_one_drawn_target_for_poison_and_test(
    run: Cli, records_in: RecordsIn, tmp_path: Path
) -> None:
    ran = run("--attacks", "corner:target=-1", "--defenses", "leads", "--poison-rate", "0.3", "--seeds", "0,1")
    assert ran.code == 0, ran.err
    assert judged_as(tmp_path, "corner:target=-1")[0] in range(4)
    found = [one for one in records_in(tmp_path / "results") if one["defense"] == "none"]
    assert [one["metrics"]["asr"] > 0.9 for one in found] == [True, True]


def test_a_population_that_nobody_judges_is_refused(run: Cli, tmp_path: Path) -> None:
    ran = run("--attacks", "corner", "--defenses", "brightest", "--population", "6")
    assert ran.code == 2
    assert "a population of 6 needs a model detector" in ran.err
    assert not (tmp_path / "results" / "artifacts" / "train").exists()


@pytest.mark.parametrize("given", ["1", "-3", "many", "2.5"])
def test_a_population_that_is_none_is_refused(run: Cli, given: str) -> None:
    ran = run("--attacks", "corner", "--defenses", "probe", f"--population={given}")
    assert ran.code == 2
    assert "2 or more, or 0" in ran.err
