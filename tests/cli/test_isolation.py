"""What a plugin does to what it is given stays with its own cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixture_types import Cli, Comparable, RecordsIn
from here import run_here
from once import once

PLUGIN = '''
from dataclasses import dataclass

import torch

import benchkit


@dataclass(frozen=True)
class Scribbler(benchkit.Attack):
    """Writes into the training set while it prepares, poisons or stamps."""

    name = "scribbler"
    when: str = benchkit.param("prepare", "when", choices=("prepare", "poison", "late"))

    def prepare(self, scene):
        if self.when == "prepare":
            scene.clean.images.fill_(7)
        return {"none": torch.zeros(1)}

    def poison(self, train, scene):
        if self.when == "poison":
            train.images.fill_(7)
            raise ValueError("and fails")
        return super().poison(train, scene)

    def stamp(self, images, scene):
        stamped = images.clone()
        stamped[..., -2:, -2:] = 255
        return stamped


@dataclass(frozen=True)
class Counter(benchkit.CleanImages, benchkit.ModelDetector):
    """Writes into what it prepared: without care, each model would score higher than the one before."""

    name = "counter"

    def prepare(self, scene):
        return {"seen": torch.zeros(())}

    def score(self, scene):
        scene.prepared["seen"] += 1
        return float(scene.prepared["seen"])

    def flags_above(self, scene):
        return 0.5


@dataclass(frozen=True)
class Eraser(benchkit.InputDetector):
    """Writes into the images it judges."""

    name = "eraser"

    def score(self, images, scene):
        found = images[..., -3:, -3:].float().mean((1, 2, 3))
        images.zero_()
        return found


@dataclass(frozen=True)
class Rated(benchkit.Attack):
    """A corner whose size follows from the poison rate."""

    name = "rated"

    def stamp(self, images, scene):
        stamped = images.clone()
        side = round(20 * scene.poison_rate)
        stamped[..., :side, :side] = 255
        return stamped


@dataclass(frozen=True)
class Early(benchkit.Attack):
    """Reads what its stage does not have."""

    name = "early"
    what: str = benchkit.param("rate", "what it reads", choices=("rate", "prepared"))

    def prepare(self, scene):
        found = scene.poison_rate if self.what == "rate" else scene.prepared.get("found", 1)
        return {"found": torch.tensor(found)}

    def stamp(self, images, scene):
        return 255 - images


@dataclass(frozen=True)
class Curious(benchkit.InputDetector):
    """Reads what a defender does not have."""

    name = "curious"
    what: str = benchkit.param("rate", "what it reads", choices=("rate", "others", "shadows"))

    def score(self, images, scene):
        found = scene.poison_rate if self.what == "rate" else len(getattr(scene, self.what))
        return images.float().mean((1, 2, 3)) + found


@benchkit.hookimpl
def benchkit_attacks():
    return [Scribbler, Rated, Early]


@benchkit.hookimpl
def benchkit_defenses():
    return [Counter, Eraser, Curious]
'''


@pytest.fixture
def run(toy_run: Cli, tmp_path: Path) -> Cli:
    plugin = tmp_path / "scribblers.py"
    plugin.write_text(PLUGIN)
    return lambda *args, **more: toy_run(*args, "-p", plugin, **more)


WROTE = "wrote into images or tensors that it was given: let it change a copy"


@pytest.fixture(scope="session")
def alone(shared_folder: Path, toy_recipe: tuple[str, ...]) -> Path:
    """The results folder of a run beside which nobody misbehaves."""

    def make(folder: Path) -> None:
        run_here("--attacks", "corner,none", "--defenses", "brightest", *toy_recipe, "--results", folder)

    return once(shared_folder / "alone", make)


@pytest.mark.parametrize(
    ("attacks", "defenses"),
    [
        ("scribbler,corner,none", "brightest"),
        ("scribbler:when=poison,corner,none", "brightest"),
        ("none,corner", "eraser,brightest"),
        ("none,corner", "counter,brightest"),
    ],
)
def test_who_writes_into_what_it_was_given_fails_and_changes_nobody_elses_numbers(
    run: Cli, records_in: RecordsIn, comparable: Comparable, tmp_path: Path, alone: Path, attacks: str, defenses: str
) -> None:
    assert run("--attacks", attacks, "--defenses", defenses, results=tmp_path / "beside").code == 1
    usual, beside = (
        {(one["attack"], one["defense"]): one for one in records_in(results)}
        for results in (alone, tmp_path / "beside")
    )
    for cell, record in usual.items():
        assert comparable(record) == comparable(beside[cell])
    bad = [one for cell, one in beside.items() if cell not in usual]
    assert {one["status"] for one in bad} <= {"failed", "skipped"}
    assert all(WROTE in one["error"] or "and fails" in one["error"] for one in bad)


def test_a_stamp_knows_the_poison_rate_at_test_time_too(run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    assert run("--attacks", "rated", "--defenses", "none", "--poison-rate", "0.1,0.3").code == 0
    found = {one["poison_rate"]: one["metrics"]["l2"] for one in records_in(tmp_path / "results")}
    assert found[0.3] > 2 * found[0.1] > 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--attacks", "early", "--no-victims"), "scene.poison_rate is for attacks, but not in prepare()"),
        (("--attacks", "early:what=prepared", "--no-victims"), "scene.prepared is what prepare() returns"),
        (("--attacks", "none", "--defenses", "curious"), "scene.poison_rate is for attacks"),
        (("--attacks", "none", "--defenses", "curious:what=others"), "scene.others is there in a defense's prepare()"),
        (("--attacks", "none", "--defenses", "curious:what=shadows"), "scene.shadows is there in a defense's prepare"),
    ],
)
def test_reading_what_a_stage_does_not_have_fails_with_a_sentence(
    run: Cli, records_in: RecordsIn, tmp_path: Path, given: tuple[str, ...], words: str
) -> None:
    defenses = () if "--defenses" in given else ("--defenses", "brightest")
    assert run(*given, *defenses).code == 1
    assert any(words in (one["error"] or "") for one in records_in(tmp_path / "results"))


RAISING = '''
from dataclasses import dataclass

import benchkit


@dataclass(frozen=True)
class Raising(benchkit.Dataset):
    """Fails where it is asked to."""

    name = "raising"
    where: str = benchkit.param("fetch", "where", choices=("fetch", "fingerprint", "bytes"))

    def fetch(self, source):
        if self.where == "fetch":
            raise KeyError("no")

    def fingerprint(self, source):
        return b"x" if self.where == "bytes" else 1 / 0

    def load(self, source):
        raise NotImplementedError


@dataclass(frozen=True)
class Careless(benchkit.InputDetector):
    """Divides by zero when it is asked about images."""

    name = "careless"

    def score(self, images, scene):
        return images.float().mean((1, 2, 3))

    def check(self, shape, classes):
        return str(1 / 0)


@benchkit.hookimpl
def benchkit_datasets():
    return [Raising]


@benchkit.hookimpl
def benchkit_defenses():
    return [Careless]
'''


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--datasets", "raising"), "error: dataset raising raised KeyError: 'no'\n"),
        (("--datasets", "raising:where=fingerprint"), "error: dataset raising raised ZeroDivisionError: "),
        (("--datasets", "raising:where=bytes"), "error: dataset raising: fingerprint must return text, got bytes\n"),
        (("--defenses", "careless"), "error: careless raised ZeroDivisionError: division by zero\n"),
    ],
)
def test_what_a_plugin_raises_before_the_run_is_one_sentence(
    benchkit_cli: Cli, tmp_path: Path, asked: tuple[str, str], words: str
) -> None:
    plugin = tmp_path / "raising.py"
    plugin.write_text(RAISING)
    toy = Path(__file__).parents[1] / "toy.py"
    given = ("--attacks", "corner", "--datasets", "toy", "--recipe", "fast:epochs=1", "-p", plugin, "-p", toy)
    ran = benchkit_cli("run", *given, *asked, "--results", tmp_path / "r", "--no-victims")
    assert ran.code == 2
    assert words in ran.err
