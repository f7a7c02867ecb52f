"""Plans with defenses that learn from each victim: whose fit is shared, and what a change fits again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

import benchkit
from benchkit.execute.resolve import CPU_DEFAULTS, DEFAULTS
from benchkit.plan import fingerprint, source
from benchkit.plan.job import AUDIT, DATA, FIT, PREPARE, SCORES, SUSPECTS, VICTIM
from benchkit.plan.planner import plan
from benchkit.plan.shard import Shard
from benchkit.plan.steps import Plan
from benchkit.spec.registry import load
from benchkit.spec.spec import make

TESTS = Path(__file__).parents[1]
OPTIONS: dict[str, str | bool] = {
    **DEFAULTS,
    **CPU_DEFAULTS,
    "attacks": "none,corner",
    "defenses": "surprised",
    "datasets": "toy",
}
Planned = Callable[..., Plan]


@pytest.fixture
def fitter(tmp_path: Path) -> Path:
    """Return a copy of the plugins that may be changed."""
    return Path(shutil.copy(TESTS / "fitter.py", tmp_path / "fitter_copy.py"))


@pytest.fixture
def planned(fitter: Path) -> Planned:
    registry = load([TESTS / "toy.py", fitter])

    def make_plan(**changes: str | bool) -> Plan:
        spec = make({**OPTIONS, **changes}, registry)
        return plan(spec, dict.fromkeys(spec.datasets, ""))

    return make_plan


def fits(made: Plan) -> set[str]:
    return {step.key for step in made.of("fit")}


def test_each_victim_has_a_fit_of_its_own_which_its_cells_read(planned: Planned) -> None:
    made = planned(attacks="none,corner,badnets", poison_rate="0.1,0.05")
    victims = [step.key for step in made.of("train")]
    assert sorted(step.parents[VICTIM].key for step in made.of("fit")) == sorted(victims)
    cells = [step for step in made.of("cell") if step.job.defense == "surprised"]
    assert len(cells) == len(victims) == 5
    for cell in cells:
        assert made.steps[cell.parents[FIT].key].parents[VICTIM] == cell.parents[VICTIM]
    assert not any(FIT in step.parents for step in made.of("cell") if step.job.defense == "none")


@pytest.mark.parametrize(
    ("variant", "count"), [("threshold=fpr:0.2", 2), ("log=diary", 2), ("scale=2", 4), ("clean=0.1", 4)]
)
def test_only_a_parameter_that_the_fit_uses_fits_again(planned: Planned, variant: str, count: int) -> None:
    assert len(fits(planned(defenses=f"surprised,surprised:{variant}"))) == count


def test_rows_with_one_victim_share_its_fit(planned: Planned) -> None:
    assert len(fits(planned(attacks="none,control:noise=1,control:resize"))) == 1


def test_one_that_sees_no_victim_learns_once_for_all_with_what_it_prepared(planned: Planned) -> None:
    made = planned(attacks="none,corner,badnets", defenses="glow,glow:threshold=fpr:0.2", poison_rate="0.1,0.05")
    (fit,) = made.of("fit")
    assert set(fit.parents) == {DATA, PREPARE}
    again = planned(defenses="glow", recipe="fast:epochs=3")  # it may train with the recipe
    assert not fits(again) & fits(made)
    assert {step.key for step in again.of("prepare")} == {step.key for step in made.of("prepare")}


@pytest.mark.parametrize("population", ["0", "12"])
def test_a_model_detector_learns_in_its_audits(planned: Planned, population: str) -> None:
    made = planned(defenses="loud", population=population)
    assert not made.of("fit")
    (cell,) = [step for step in made.of("cell") if (step.job.attack, step.job.defense) == ("corner", "loud")]
    audits = [made.steps[key] for _, (_, key) in cell.job.of(AUDIT)]
    assert len(audits) == (2 if population == "12" else 1)
    assert all(SUSPECTS in step.parents for step in audits)


def test_a_shard_fits_its_own_victims_only(planned: Planned) -> None:
    made = planned(attacks="none,corner,badnets", defenses="surprised,damped")
    parts = [Shard(number, 3).of(made) for number in (1, 2, 3)]
    assert [len(part.of("fit")) for part in parts] == [2, 2, 2]
    assert set.union(*map(fits, parts)) == fits(made)


def test_a_change_of_its_code_fits_again_and_trains_no_victim(planned: Planned, fitter: Path) -> None:
    keys = []
    for old, new in (("# why", "# why"), ("amax(1)}", "amin(1)}")):
        fitter.write_text(fitter.read_text().replace(old, new))
        for known in (source._read, fingerprint._code_of):
            known.cache_clear()
        made = planned()
        keys.append((fits(made), {step.key for step in made.of("train")}))
    (before, victims), (after, same) = keys
    assert victims == same
    assert len(before) == len(after) == 2
    assert not before & after


def test_what_acts_before_there_is_a_victim_cannot_fit() -> None:
    @dataclass(frozen=True)
    class Early(benchkit.TrainingFilter):
        """Would learn from a victim."""

        name = "early"

        def fit(self, scene: benchkit.Scene) -> dict[str, Tensor]:
            return {}

        def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> Tensor:
            return train.labels

    with pytest.raises(benchkit.ContractError, match=r"early.fit would never run: .*\(training filter\) acts before"):
        Early().fits()


def test_clean_images_are_scored_once_where_a_detector_sees_no_victim_and_once_per_victim_where_it_does(
    planned: Planned,
) -> None:
    made = planned(attacks="none,control:jpeg=75,corner,badnets,blend,wanet", defenses="freq-detector,strip")
    by_defense = Counter(step.job.defense for step in made.of("score"))
    assert by_defense == {"freq-detector": 1, "strip": 5}  # both benign rows have one victim
    for cell in made.of("cell"):
        scores = cell.parents.get(SCORES)
        assert (scores is not None) == (cell.job.defense in by_defense)
        if scores and cell.job.defense == "strip":
            assert made.steps[scores.key].parents[VICTIM] == cell.parents[VICTIM]
