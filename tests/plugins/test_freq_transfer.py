"""The frequency detector on other data: trained on other datasets, and tuned to a camera."""

from __future__ import annotations

import functools

import pytest
import torch
from benchkit_plugins.defenses.freq_detector.freq_detector import FreqDetector
from freq_cases import SHAPE, alike, grainy, labelled, made, natural, prepared, scene, with_block
from torch import Tensor

import benchkit


class TestTransfer:
    @pytest.mark.parametrize(
        ("text", "wanted"),
        [("", ()), ("self", ()), ("gtsrb", ("gtsrb",)), ("self+gtsrb", ("gtsrb",)), ("a+b", ("a", "b"))],
    )
    def test_it_asks_for_the_other_datasets(self, text: str, wanted: tuple[str, ...]) -> None:
        detector = FreqDetector(train_on=text)
        assert detector.other_datasets() == wanted
        assert detector.check(SHAPE, 10) is None

    @pytest.mark.parametrize("text", ["a+", "+", "a+a"])
    def test_it_refuses_what_is_no_list_of_datasets(self, text: str) -> None:
        assert f"got '{text}'" in str(FreqDetector(train_on=text).check(SHAPE, 10))

    def test_it_learns_from_what_it_names_and_from_nothing_else(self) -> None:
        own, other = natural(60, seed=1), {"a": labelled(natural(80, seed=2)), "b": labelled(natural(40, seed=3))}
        learn = functools.partial(self.learned, others=other)
        assert alike(learn("", own), learn("self", own))
        assert alike(learn("a", own), learn("a", grainy(own)))
        assert not alike(learn("a", own), learn("b", own))
        assert not alike(learn("self+a", own), learn("self+a", grainy(own)))
        sizes = {text: len(learn(text, own)["calibration"]) for text in ("", "a", "a+b", "self+a+b")}
        assert sizes == {"": 6, "a": 8, "a+b": 12, "self+a+b": 18}

    def learned(self, text: str, own: Tensor, others: dict[str, benchkit.Split]) -> dict[str, Tensor]:
        quick = "freq-detector:arch=linear,epochs=1"
        detector = made(f"{quick},train_on={text}" if text else quick)
        found: dict[str, Tensor] = detector.prepare(scene(own, others=others))
        return found

    def test_images_of_another_size_are_refused_in_a_sentence(self) -> None:
        others = {"large": labelled(natural(20, seed=1, shape=(3, 32, 32)))}
        with pytest.raises(
            benchkit.DataError, match="train_on=large has images of 3 x 32 x 32, those to judge are 3 x 16"
        ):
            FreqDetector(train_on="large").prepare(scene(natural(20, seed=1), others=others))


class TestTuning:
    def test_it_takes_another_camera_for_what_it_is(self) -> None:
        source, target = {"a": labelled(natural(600, seed=1))}, grainy(natural(300, seed=2))
        alarms = []
        for tune in (0, 100):
            detector = made(f"freq-detector:arch=svm,feature=dct-log,train_on=a,tune={tune},tune_epochs=40")
            where = prepared(detector, target[:200], others=source)
            scores = detector.score(torch.cat([target[200:], with_block(target[200:])]), where)
            alarms.append(float((scores[:100] > 0).float().mean()))
            assert float((scores[100:] > 0).float().mean()) > 0.8
        assert alarms[0] > 0.8
        assert alarms[1] < 0.2

    def test_it_does_not_touch_the_images_that_set_the_threshold(self) -> None:
        detector, clean = FreqDetector(rounds=1, batch=32, tune=90, tune_epochs=1), natural(100, seed=4)
        first = prepared(detector, clean)
        gaps = (detector.score(clean, first)[:, None] - first.prepared["calibration"]).abs()
        replaced = clean.clone()
        replaced[gaps.argmin(0)] = natural(10, seed=5)
        second = prepared(detector, replaced).prepared
        changed = {name for name, value in second.items() if not torch.equal(value, first.prepared[name])}
        assert changed == {"calibration"}

    def test_more_images_than_there_are_is_said(self) -> None:
        with pytest.raises(benchkit.DataError, match="tune=40 is more than its own 36"):
            FreqDetector(arch="linear", epochs=1, tune=40).prepare(scene(natural(40, seed=1)))
