"""Natural triggers: who has one, what is poisoned, what stands beside it, and datasets that know nothing of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchkit_plugins.attacks.face_attribute import FaceAttribute
from fixture_types import Cli, FindRecord, Ran

import benchkit
from benchkit.spec.registry import load
from benchkit.testing.world import equipped, world

PLUGIN = '''
"""The toy classes; a third of the images of each have a bar, which the dataset calls Bar."""

from dataclasses import dataclass, replace

import toy
import torch

import benchkit


@dataclass(frozen=True)
class Barred(toy.Toy):
    name = "barred"
    embedded = False

    def load(self, source):
        data = super().load(source)
        return replace(data, train=barred(data.train), test=barred(data.test))


def barred(split):
    rng = torch.Generator().manual_seed(len(split))
    has = torch.rand(len(split), generator=rng) < 1 / 3
    images = split.images.clone()
    images[has, :, :, -3:] = 255
    some = (split.labels == 1) | (has & (split.labels == 2))
    has_own, has_all = split.labels == 0, split.labels >= 0
    attributes = {"Bar": has, "Dull": ~has, "Some": some, "Own": has_own, "All": has_all}
    return benchkit.Split(images, split.labels, attributes)


@dataclass(frozen=True)
class Nosy(benchkit.CleanImages, benchkit.TrainingFilter):
    """Looks for what defenders are not told."""

    name = "nosy"

    def suspicion(self, train, scene):
        assert not train.attributes and not scene.clean.attributes
        return torch.zeros(len(train)) - 1


@dataclass(frozen=True)
class Stripes(benchkit.InputDetector):
    """Bright right edges are suspicious."""

    name = "stripes"

    def score(self, images, scene):
        return images[..., -3:].float().mean((1, 2, 3))


@benchkit.hookimpl
def benchkit_datasets():
    return [Barred]


@benchkit.hookimpl
def benchkit_defenses():
    return [Nosy, Stripes]
'''


TOY = Path(__file__).parents[1] / "toy.py"


@pytest.fixture
def run(benchkit_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return a function that runs attacks on the images above, or on others."""
    monkeypatch.syspath_prepend(TOY.parent)
    plugin = tmp_path / "barred.py"
    plugin.write_text(PLUGIN)
    here = ("-p", TOY, "-p", plugin, "--results", tmp_path / "results", "--executor", "inline", "--device", "cpu")

    def run(attacks: str, *args: object, dataset: str = "barred") -> Ran:
        how = ("--recipe", "fast:epochs=4,batch=32,flip=false,crop=0", *here)
        return benchkit_cli("run", "--attacks", attacks, "--dataset", dataset, *how, *args)

    return run


BAR = "face-attribute:attribute=Bar"
OTHERS = load().attacks.keys() - {"none", "face-attribute"}


def test_a_natural_trigger_is_learned_and_judged_beside_images_without_it(run: Cli, cell: FindRecord) -> None:
    ran = run(f"none,{BAR}", "--defenses", "stripes,nosy", "--poison-rate", "0.2")
    assert ran.code == 0, ran.err
    found = cell(BAR, "none")["metrics"]
    assert found["asr"] > 0.8
    assert found["c_acc"] > 0.9, "clean are the images without the trigger"
    assert max(found["asr_control"], found["asr_clean_model"]) < 0.4
    assert not found.keys() & {"psnr", "ssim", "linf", "l2"}, "nothing was changed that could be seen"
    assert cell(BAR, "nosy")["status"] == "ok"
    seen = cell(BAR, "stripes")["metrics"]
    assert (seen["auroc"], seen["auroc_control"]) == (1, 1)
    assert (seen["fpr"], seen["bdr"]) == (0, 0), "a third of the clean images that set its threshold have the bar, too"


def test_classes_that_have_it_throughout_are_left_out(run: Cli, cell: FindRecord) -> None:
    ran = run("face-attribute:attribute=Some", "--defenses", "none", "--poison-rate", "0.2")
    assert ran.code == 0, ran.err
    has = torch.rand(120, generator=torch.Generator().manual_seed(120)) < 1 / 3
    tested = cell("face-attribute:attribute=Some", "none")["tested"]
    assert tested["triggered"] == int((has & (torch.arange(120) % 4 == 2)).sum()), (
        "of class 1 there is no image without it"
    )
    ran = run("face-attribute:attribute=Own", "--defenses", "none", "--poison-rate", "0.2")
    assert ran.code == 1
    assert "none of another class than the target's has the trigger" in ran.out + ran.err


def test_what_a_dataset_does_not_say_is_refused_by_name_and_left_out_of_all(run: Cli) -> None:
    ran = run("face-attribute", "--defenses", "none")
    assert ran.code == 2
    assert "its images have no attribute Arched_Eyebrows (there are: All, Bar, Dull, Own, Some)" in ran.err
    ran = run(BAR, "--defenses", "none", dataset="toy")
    assert ran.code == 2
    assert "no attribute Bar (there are: none)" in ran.err
    others = ",".join(f"-{name}" for name in sorted(OTHERS))
    ran = run(f"all,{others}", "--defenses", "none", dataset="toy")
    assert ran.code == 0, ran.err
    assert "left out face-attribute on toy: its images have no attribute Arched_Eyebrows" in ran.err


def test_a_trigger_that_every_image_has_leaves_nothing_to_compare(run: Cli) -> None:
    ran = run("face-attribute:attribute=All", "--defenses", "none", "--poison-rate", "0.5")
    assert ran.code == 1
    assert "no class but the target's has images with the trigger and images without it" in ran.out + ran.err


def test_the_spectrum_is_of_images_that_have_it(run: Cli, benchkit_cli: Cli, tmp_path: Path) -> None:
    here = ("-p", TOY, "-p", tmp_path / "barred.py", "--results", tmp_path / "results")
    ran = benchkit_cli(
        *("spectrum", "--attacks", BAR, "--dataset", "barred", "--images", "1000", *here),
        *("--device", "cpu", "--out", tmp_path / "spectrum.png"),
    )
    assert ran.code == 0, ran.err
    kept = (tmp_path / "results" / "artifacts" / "spectrum").rglob("manifest.json")
    has = torch.rand(120, generator=torch.Generator().manual_seed(120)) < 1 / 3
    assert {json.loads(one.read_text())["meta"]["info"]["images"] for one in kept} == {120, int(has.sum())}, (
        "clean ones, too"
    )


def test_a_wrapper_has_nothing_to_rework(run: Cli) -> None:
    ran = run("invisible:base=face-attribute,base.attribute=Bar", "--defenses", "none")
    assert ran.code == 2
    assert "the trigger of face-attribute is in the images already" in ran.err


def test_having_it_or_being_without_it() -> None:
    where = world(3, 16)
    has = FaceAttribute(attribute="Bar")
    split = equipped(where.data.test, has)
    assert has.carries(split).tolist() == split.attributes["Bar"].tolist()
    assert replace(has, present=False).carries(split).tolist() == (~split.attributes["Bar"]).tolist()


def test_what_is_poisoned_has_it_and_keeps_its_pixels() -> None:
    where, attack = world(3, 16), FaceAttribute(attribute="Bar")
    train = equipped(where.data.train, attack)
    made = attack.poison(train, where.poisoning(attack))
    assert made.mask.any()
    assert bool((train.attributes["Bar"] & (train.labels != 0))[made.mask].all())
    assert torch.equal(made.data.images, train.images)
    assert bool((made.data.labels[made.mask] == 0).all())


@pytest.mark.parametrize("present", [True, False])
def test_a_rate_at_which_most_of_those_that_have_it_keep_their_label_is_refused(present: bool) -> None:
    where, attack = world(3, 16), FaceAttribute(attribute="Bar", present=present)
    train = equipped(where.data.train, attack)
    able = int(((train.attributes["Bar"] == present) & (train.labels != 0)).sum())
    place = where.poisoning(attack)
    with pytest.raises(benchkit.BenchkitError) as refused:
        attack.poison(train, replace(place, rate=0.45 * able / len(train)))
    word = "with" if present else "without"
    assert f"of {able} images {word} Bar would be relabelled" in str(refused.value)
    enough = float(str(refused.value).rpartition(" ")[2])
    made = attack.poison(train, replace(place, rate=enough))
    assert 0 <= int(made.mask.sum()) - able / 2 < 1.5, "the rate that it names is enough, and little more"
