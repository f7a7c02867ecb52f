"""What a verdict may hold, for each kind of defense, and what becomes of it in the measurement of a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import benchkit
from benchkit import ContractError, Metric, Verdict
from benchkit.components.baseline import NoDefense
from benchkit.contracts.scene import Scene
from benchkit.contracts.verdicts import radii, verdict
from benchkit.measure.evidence import strip
from benchkit.measure.told import told
from benchkit.measure.truth import GroundTruth
from benchkit.records.declared import crafted, declarations_fault, declared_in, in_record

SHAPE = (3, 8, 8)
SCENE = Scene(4, SHAPE, torch.device("cpu"), None, torch.Generator())
IMAGE = torch.rand(SHAPE)
SIZE = Metric("size", unit="px", better="lower", about="a size")
PART = Metric("part", unit="%", better="higher", about="a part")


class Telling(NoDefense):
    name = "telling"
    metrics = (SIZE, PART)


SOUND = Verdict(1.0, {"size": 3, "part": 0.5}, {"trigger": IMAGE}, [2, 0, 2])


def checked(**changes: Any) -> Verdict:
    return verdict(Telling(), "score", replace(SOUND, **changes), SCENE)


def test_a_sound_verdict_comes_back_in_one_form() -> None:
    found = checked()
    assert (found.score, found.metrics, found.classes) == (1.0, {"size": 3.0, "part": 0.5}, (0, 2))
    assert found.images["trigger"].equal((255 * IMAGE.double()).round().to(torch.uint8))


def test_a_plain_value_is_a_verdict_without_more() -> None:
    assert verdict(NoDefense(), "score", 3.0, SCENE) == Verdict(3.0, {}, {}, None)
    assert checked(classes=()).classes == ()
    assert checked(classes=None).classes is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_images_may_be_grey_or_of_any_float_type(dtype: torch.dtype) -> None:
    grey = torch.tensor([0.0, 0.5, 1.0, 0.25]).to(dtype).repeat(16).view(1, 8, 8)
    assert checked(images={"mask": grey}).images["mask"].unique().tolist() == [0, 64, 128, 255]
    kept = torch.randint(0, 256, SHAPE, dtype=torch.uint8)
    assert checked(images={"as it is": kept}).images["as it is"].equal(kept)


NAN = IMAGE.clone()
NAN[0, 0, 0] = torch.nan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": {"size": 3}}, "gives no 'part'"),
        ({"metrics": {**SOUND.metrics, "odd": 1}}, "'odd', which telling.metrics does not declare"),
        ({"metrics": {**SOUND.metrics, "size": float("nan")}}, "nan"),
        ({"metrics": {**SOUND.metrics, "size": float("inf")}}, "inf"),
        ({"metrics": {**SOUND.metrics, "size": "many"}}, "must return a number, got str"),
        ({"metrics": {**SOUND.metrics, "part": 50.0}}, "whose unit is %: give a share"),
        ({"metrics": [3, 0.5]}, "metrics of a Verdict must be a dict"),
        ({"images": [IMAGE]}, "images of a Verdict must be a dict"),
        ({"images": dict.fromkeys(map(str, range(10_000)), IMAGE)}, "gives 10000 images: a Verdict has 8 at most"),
        ({"images": {"trigger": IMAGE[:, :7]}}, r"shape \(3, 8, 8\), got \(3, 7, 8\)"),
        ({"images": {"trigger": IMAGE[None]}}, r"got \(1, 3, 8, 8\)"),
        ({"images": {"trigger": IMAGE.numpy()}}, "got ndarray"),
        ({"images": {"trigger": NAN}}, "without NaN"),
        ({"images": {"trigger": 255 * IMAGE + 2}}, r"float in \[0, 1\]"),
        ({"images": {"trigger": IMAGE.long()}}, "must be uint8"),
        ({"images": {"../trigger": IMAGE}}, "lower-case letters, digits, blanks and hyphens"),
        ({"images": {"": IMAGE}}, "names an image ''"),
        ({"images": {7: IMAGE}}, "names an image 7"),
        ({"images": {"x" * 41: IMAGE}}, "40 at most"),
        ({"classes": [4]}, "suspects class 4: classes are int, 0 to 3"),
        ({"classes": [-1]}, "suspects class -1"),
        ({"classes": [1.0]}, "suspects class 1.0"),
        ({"classes": [True]}, "suspects class True"),
        ({"classes": "0"}, "must be a list of int"),
        ({"classes": torch.tensor([0])}, "must be a list of int, got Tensor"),
        ({"classes": 3}, "must be a list of int"),
        ({"certificate": lambda images: images}, "a certificate is a function, and that of robust training"),
    ],
)
def test_what_is_no_verdict_is_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError, match=words) as told_so:
        checked(**changes)
    assert "\n" not in str(told_so.value)
    assert str(told_so.value).startswith("telling.score")


@pytest.mark.parametrize(
    ("radius", "words"),
    [
        (torch.tensor([1, 2]), r"one number per image, shape \(3,\)"),
        (torch.tensor([1.0, float("nan"), 2]), "NaN"),
        (torch.tensor([1.0, 1.5, 2]), "numbers of images"),
        (torch.tensor([1, -2, 2]), "-1 where it abstains"),
        (None, "one number per image"),
    ],
)
def test_a_certificate_counts_images(radius: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        radii(NoDefense(), lambda images: radius, torch.zeros(3, *SHAPE, dtype=torch.uint8))


def test_declared_metrics_cannot_be_left_out_with_a_plain_value() -> None:
    with pytest.raises(ContractError, match=r"gives no 'size', which it declares: return a benchkit\.Verdict"):
        verdict(Telling(), "score", 1.0, SCENE)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ((Metric("asr", about="ours"),), "benchkit has a metric of that name"),
        ((Metric("bdr_at_published_fpr", about="ours"),), "benchkit has a metric of that name"),
        ((Metric("craft_size", about="an attack's"),), "metrics of attacks begin with"),
        ((SIZE, SIZE), "'size' twice"),
        ((Metric("Size", about="x"),), "lower-case"),
        ((Metric("a b", about="x"),), "lower-case"),
        ((Metric("x" * 41, about="x"),), "40 at most"),
        ((Metric("size"),), "says nothing about it"),
        ((Metric("size", about=" "),), "says nothing about it"),
        ((Metric("size", about="x", better="more"),), "'higher', 'lower' or 'neither'"),  # type: ignore[arg-type]
        ((Metric("size", about="x", unit="kilometres an hour"),), "its unit must be one line of at most 12 letters"),
        ((Metric("size", about="x\ny"),), "its about must be one line"),
        (("size",), "a tuple of benchkit.Metric"),
        ({"size": "a size"}, "a tuple of benchkit.Metric"),
        (SIZE, "a tuple of benchkit.Metric"),
    ],
)
def test_a_metric_is_declared_soundly_or_refused(metrics: Any, words: str) -> None:
    assert words in str(declarations_fault(metrics))


def test_declarations_survive_a_record_and_rubbish_does_not() -> None:
    assert declarations_fault(Telling.metrics) is None
    assert declared_in({one.name: in_record(one) for one in Telling.metrics}) == {"size": SIZE, "part": PART}
    mine = crafted(Metric("steps", about="steps taken"))
    assert (mine.name, mine.title) == ("craft_steps", "craft_steps")
    assert declared_in({mine.name: in_record(mine)}) == {"craft_steps": mine}
    rubbish = {"asr": in_record(SIZE), "odd": 3, "none": {}, "way": {**in_record(SIZE), "better": ["x"]}}
    assert declared_in(rubbish) == {}


@given(st.dictionaries(st.text(max_size=9), st.dictionaries(st.sampled_from(["better", "unit", "about"]), st.text())))
def test_no_declaration_of_a_foreign_record_breaks_a_report(found: dict[str, Any]) -> None:
    for name, one in declared_in(found).items():
        assert one.name == name
        assert one.text(0.25)
        assert one.legend().isprintable()


def truth(targets: tuple[int | None, ...]) -> GroundTruth:
    none = torch.zeros(0, dtype=torch.long)
    images = torch.zeros(0, *SHAPE, dtype=torch.uint8)
    test = benchkit.Split(images, none)
    return GroundTruth(not targets, test, none, images, none, images, names=("a", "b", "c", "d"), targets=targets)


@pytest.mark.parametrize(
    ("named", "targets", "found"),
    [
        ([(0, 2)], (2,), {"target_found": 1.0}),
        ([(0, 2)], (1,), {"target_found": 0.0}),
        ([()], (1,), {"target_found": 0.0}),
        ([(1,), (), (1, 2), (3,)], (1, 1, 2, 2), {"target_found": 0.5}),
        ([(0,), (1,)], (0, None), {"target_found": 1.0}),
        ([(0, 2)], (None,), {}),
        ([(0, 2)], (), {}),
        ([None], (0,), {}),
    ],
)
def test_the_target_is_found_where_it_is_among_the_suspected(
    named: list[tuple[int, ...] | None], targets: tuple[int | None, ...], found: dict[str, float]
) -> None:
    said = [Verdict(1.0, classes=classes) for classes in named]
    assert told(NoDefense(), said, truth(targets)).metrics == found


def test_suspects_are_counted_over_models_and_metrics_averaged() -> None:
    said = [checked(classes=classes, metrics={"size": size, "part": 0.5}) for size, classes in ((1, [3]), (4, [3, 1]))]
    found = told(Telling(), said, truth((3, 3)))
    assert found.metrics == {"size": 2.5, "part": 0.5, "target_found": 1.0}
    assert found.exhibits["suspected"] == (
        {"number": 3, "name": "d", "models": 2},
        {"number": 1, "name": "b", "models": 1},
    )
    assert list(found.exhibits["gallery"]) == ["trigger"], "no attack, so no true trigger beside it"


def test_a_strip_has_the_images_above_and_what_became_of_them_below() -> None:
    from benchkit.report.figures.gallery import decoded

    before = torch.randint(0, 256, (4, 3, 8, 6), dtype=torch.uint8)
    pixels = decoded(strip(before, 255 - before))
    assert pixels.shape == (16, 24, 3)
    assert np.array_equal(pixels[8:], 255 - pixels[:8])
    assert np.array_equal(pixels[:8, 6:12], before[1].permute(1, 2, 0).numpy())


def test_a_verdict_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import benchkit, sys; benchkit.Verdict(1.0), benchkit.Metric('x'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
