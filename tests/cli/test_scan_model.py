"""benchkit scan model, through the real entry point: verdicts, the forms weights come in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchkit.models import Classifier, create

TOY = Path(__file__).parents[1] / "toy.py"
PLUGIN = '''
from dataclasses import dataclass
import torch
import benchkit


@dataclass(frozen=True)
class Place(benchkit.ModelDetector):
    """Scores the first bias of the head; five benign shadows scored 0 to 4."""

    name = "place"
    cut: float = benchkit.param(10.0, "threshold", prepares=False)
    fail: str = benchkit.param("", "where to fail", choices=("", "prepare", "score", "raise"))

    def prepare(self, scene):
        if self.fail == "prepare":
            raise ValueError("no shadows today")
        return {"benign_scores": torch.arange(5.0)}

    def score(self, scene):
        if self.fail == "raise":
            raise RuntimeError("fell over")
        return float("nan") if self.fail == "score" else float(scene.model.head.bias.detach()[0])

    def cutoff(self, scene):
        return self.cut


@dataclass(frozen=True)
class Normal(benchkit.ModelDetector):
    """Scores the mean of the model's normalisation."""

    name = "normal"

    def score(self, scene):
        return float(scene.model.mean.mean())

    def cutoff(self, scene):
        return 1.0


@benchkit.hookimpl
def benchkit_defenses():
    return [Place, Normal]
'''


@pytest.fixture
def net():
    """A narrownet for the toy images whose head's first bias is 2.5."""
    torch.manual_seed(0)
    made = create("narrownet", 4, (3, 12, 12), "cpu")
    with torch.no_grad():
        Classifier(made, torch.zeros(3), torch.ones(3)).head.bias[0] = 2.5
    return made


@pytest.fixture
def ours(net):
    """What benchkit saves of it, with a mean of 0.25."""
    return Classifier(net, torch.full((3,), 0.25), torch.ones(3)).state()


@pytest.fixture
def plain(net):
    """Its own state dict."""
    return {name: value.contiguous() for name, value in net.state_dict().items()}


@pytest.fixture
def scan(benchkit_cli, tmp_path):
    plugin = tmp_path / "place_plugin.py"
    plugin.write_text(PLUGIN)

    def run(state, *args, defense="place", model="narrownet"):
        file = state if isinstance(state, Path) else tmp_path / "weights.safetensors"
        if not isinstance(state, Path):
            save_file(state, file)
        fixed = ["--model", model, "--clean", "toy", "--defense", defense, "--device", "cpu", "--jobs", 1]
        return benchkit_cli("scan", "model", file, *fixed, "-p", TOY, "-p", plugin, "--results", tmp_path / "r", *args)

    return run


def verdicts(ran) -> dict:
    return {row["defense"]: row for row in json.loads(ran.out)["verdicts"]}


def test_score_threshold_verdict_and_place_among_benign_shadows(scan, ours):
    ran = scan(ours, "--format", "json", defense="place,normal")
    assert ran.code == 0, ran.err
    assert verdicts(ran) == {
        "place": {
            "defense": "place", "verdict": "passed", "score": 2.5, "threshold": 10.0,
            "benign_shadows_below": 3, "benign_shadows": 5, "error": None,
        },
        "normal": {
            "defense": "normal", "verdict": "passed", "score": 0.25, "threshold": 1.0,
            "benign_shadows_below": None, "benign_shadows": None, "error": None,
        },
    }  # fmt: skip
    assert "among 5 benign shadow models is known to one in 6 at best" in ran.err
    assert "not proven clean" in ran.err
    assert "normalisation" not in ran.err


def test_a_score_over_the_threshold_is_exit_code_1_and_learns_nothing_again(scan, ours, tmp_path):
    assert "prepare place" in scan(ours).err
    ran = scan(ours, "--out", tmp_path / "table.txt", defense="place:cut=2")
    assert ran.code == 1
    assert "prepare" not in ran.err
    assert (tmp_path / "table.txt").read_text().splitlines()[2].split() == [
        "place:cut=2.0", "2.5", "2", "flagged", "above", "3", "of", "5",
    ]  # fmt: skip
    assert (
        scan(ours, "--format", "csv", defense="place:cut=2").out.splitlines()[1] == "place:cut=2.0,flagged,2.5,2.0,3,5,"
    )


def test_built_in_detectors_judge_it(scan, ours):
    ran = scan(ours, "--format", "json", defense="neural-cleanse:rounds=1,clean=0.5")
    assert ran.code in (0, 1), ran.err
    (row,) = verdicts(ran).values()
    assert row["threshold"] == 2
    assert row["score"] >= 0


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_plain_state_dict_gets_the_clean_images_normalisation_and_that_is_said(scan, plain, prefix):
    state = {prefix + name: value for name, value in plain.items()}
    ran = scan(state, "--format", "json", defense="normal,place")
    assert ran.code == 0, ran.err
    assert verdicts(ran)["place"]["score"] == 2.5
    assert 0.25 < verdicts(ran)["normal"]["score"] < 0.4
    assert "mean and deviation of toy were taken" in ran.err


def test_counters_of_old_checkpoints_may_lack_and_halves_are_numbers(scan, plain):
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in plain.items()
        if "num_batches" not in name
    }
    assert scan(state).code == 0


def without(state, name):
    return {one: value for one, value in state.items() if one != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: without(s, "head.weight"), "missing: head.weight"),
        (lambda s: s | {"more\x1b[31m": torch.zeros(1)}, "unknown: more\\x1b[31m"),
        (lambda s: s | {"head.weight": torch.zeros(9, 3)}, "of another shape: head.weight 9x3 instead of 4x"),
        (lambda s: s | {"head.bias": torch.zeros(4, dtype=torch.int8)}, "not floating point: head.bias"),
        (lambda s: s | {"head.bias": torch.full((4,), float("nan"))}, "NaN or infinite: head.bias"),
        (lambda s: {}, "and "),
        (lambda s: {f"net.{name}": one for name, one in s.items()} | {"mean": torch.zeros(3), "std": torch.zeros(3)},
         "std above 0"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_one_sentence_that_lists_why(scan, plain, change, words):
    ran = scan(change(plain))
    assert ran.code == 2
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert words in line
    assert "prepare" not in ran.err
    assert "Traceback" not in ran.err


def test_a_pickled_checkpoint_is_read_only_when_asked_for_by_name(scan, plain, tmp_path):
    for number, held in enumerate((plain, {"epoch": 3, "state_dict": plain}, {"model": plain})):
        file = tmp_path / f"{number}.pth"
        torch.save(held, file)
        ran = scan(file)
        assert ran.code == 2
        assert "add --pickled-checkpoint" in ran.err
        asked = scan(file, "--pickled-checkpoint", "--format", "json")
        assert asked.code == 0, asked.err
        assert verdicts(asked)["place"]["score"] == 2.5


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_that_calls_something_is_refused_unrun(scan, plain, tmp_path):
    torch.save({**plain, "more": Touch(tmp_path / "ran")}, tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "noise.pth").write_bytes(b"\x80\x02garbage")
    for name, words in (("evil", "weights_only=True"), ("list", "no state dict"), ("noise", "weights_only=True")):
        ran = scan(tmp_path / f"{name}.pth", "--pickled-checkpoint")
        assert ran.code == 2
        assert words in ran.err
        assert "Traceback" not in ran.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("where", ["prepare", "score", "raise"])
def test_a_detector_that_fails_costs_its_own_verdict_and_never_passes(scan, ours, where):
    ran = scan(ours, "--format", "json", defense=f"place:fail={where},normal")
    assert ran.code == 2
    assert verdicts(ran)["normal"]["verdict"] == "passed"
    assert verdicts(ran)[f"place:fail={where}"]["verdict"] == "failed"
    assert f"place:fail={where} failed" in ran.err
    assert scan(ours, defense=f"place:fail={where},head-mean").code == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--defense", "freq-detector"], "does not score models (it is: input detector)"),
        (["--defense", "none"], "no model detector was asked for"),
        (["--model", "narownet"], "did you mean 'narrownet'"),
        (["--clean", "toyy"], "did you mean 'toy'"),
        (["--clean", "toy,scenes"], "one clean dataset"),
        (["--out", "/nowhere/x"], "no folder /nowhere"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(scan, ours, args, words):
    ran = scan(ours, *args)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
