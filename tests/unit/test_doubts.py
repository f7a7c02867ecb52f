"""Models that do not know their task: what is warned of, at the boundary, for victims and for what defenses return."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import benchkit
from benchkit.components.baseline import NoDefense
from benchkit.contracts.data import Split
from benchkit.measure.input_detector import clean_scores
from benchkit.measure.measure import measure
from benchkit.measure.truth import CleanScores, GroundTruth
from benchkit.models.classifier import Classifier
from benchkit.records.doubts import (
    DEFENDED_AT_CHANCE,
    DEFENDED_BROKEN,
    NOT_IMPLANTED,
    VICTIM_AT_CHANCE,
    VICTIM_BROKEN,
    Known,
    about_victim,
)

CLASSES, COUNT = 4, 400


def known(right: int, images: int = COUNT, largest: int = 100) -> Known:
    return Known(right, images, largest)


def test_chance_is_the_share_of_the_most_frequent_class_and_its_noise() -> None:
    # 400 images, a quarter of one class: P(at least 121 right by chance) = 0.00997, P(at least 120) = 0.0133.
    assert about_victim(known(120), known(120)) == [VICTIM_AT_CHANCE]
    assert about_victim(known(121), known(121)) == []
    assert about_victim(known(320, largest=320), known(320, largest=320)) == [VICTIM_AT_CHANCE]
    assert not Known(6, 12, 4).knows  # six of twelve is no proof where four come for nothing


def test_a_broken_model_has_lost_ten_points_and_more_than_the_noise_of_few_images() -> None:
    assert about_victim(known(8000, 10_000, 1000), known(9000, 10_000, 1000)) == []
    assert about_victim(known(7999, 10_000, 1000), known(9000, 10_000, 1000)) == [VICTIM_BROKEN]
    # Of 100 images each, three standard errors of 70 against 85 are 17 points.
    assert about_victim(known(70, 100, 10), known(85, 100, 10)) == []
    assert about_victim(known(66, 100, 10), known(85, 100, 10)) == [VICTIM_BROKEN]


@dataclass(frozen=True)
class Returns(benchkit.CleanImages, benchkit.ModelRepair):
    """Hands over a model of the test's."""

    name = "returns"

    def repair(self, scene: benchkit.Scene) -> Classifier:
        return scene.model  # what the test put there


@dataclass(frozen=True)
class Blackens(benchkit.InputPurifier):
    """Leaves nothing of an image."""

    name = "blackens"

    def purify(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        return torch.zeros_like(images)


@dataclass(frozen=True)
class Marked(benchkit.InputDetector):
    """Finds every white pixel."""

    name = "marked"

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        return (images.amax((1, 2, 3)) == 255).float()

    def cutoff(self, scene: benchkit.Scene) -> float:
        return 0.5


def reader() -> Classifier:
    """A model that reads the class from the first pixel, which is 40 times the label."""
    layer = nn.Linear(3 * 8 * 8, CLASSES)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = torch.arange(CLASSES).float()
        layer.bias.copy_(-40 / 255 * torch.arange(CLASSES).float() ** 2 / 2)
    return Classifier(nn.Sequential(nn.Flatten(), layer), torch.zeros(3), torch.ones(3))


def world(right: int, asr: float = 1.0, benign_right: int = COUNT, benign: bool = False) -> GroundTruth:
    """A test set of four classes, and a victim that gets so many of it right."""
    labels = torch.arange(COUNT) % CLASSES
    images = torch.zeros(COUNT, 3, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0] = (40 * labels).byte()
    test, rows = Split(images, labels), (labels != 0).nonzero().squeeze(1)
    stamped = images[rows].clone()
    stamped[..., -1, -1] = 255
    wanted = torch.zeros(len(rows), dtype=torch.long)
    said = [labels.where(torch.arange(COUNT) < correct, (labels + 1) % CLASSES) for correct in (right, benign_right)]
    turned = (torch.arange(len(rows)) >= round(asr * len(rows))).long()
    judged = {"clean": said[0], "triggered": turned, "control": said[0][rows]}
    judged |= {"benign_clean": said[1], "benign_triggered": said[1][rows]}
    return GroundTruth(benign, test, rows, stamped, wanted, images[rows], judged=judged)


def warned(defense: Any, truth: GroundTruth, model: Classifier | None = None) -> set[str]:
    def scene(purpose: str, grant: bool = False) -> benchkit.Scene:
        return benchkit.Scene(
            CLASSES, (3, 8, 8), torch.device("cpu"), truth.test, torch.Generator(), granted=model or reader()
        )

    if isinstance(defense, benchkit.InputDetector):
        truth = replace(truth, scored=CleanScores(truth.test.images, *clean_scores(defense, scene, truth.test.images)))
    _, warnings = measure(defense, scene, truth)
    doubts = {VICTIM_AT_CHANCE, VICTIM_BROKEN, DEFENDED_AT_CHANCE, DEFENDED_BROKEN, NOT_IMPLANTED}
    return set(warnings) & doubts


@pytest.mark.parametrize("defense", [NoDefense(), Marked(), Returns(), Blackens()])
def test_a_victim_at_chance_is_warned_of_in_every_cell(defense: Any) -> None:
    assert VICTIM_AT_CHANCE in warned(defense, world(100))
    assert VICTIM_AT_CHANCE not in warned(defense, world(380))


def test_a_victim_far_below_the_benign_one_is_warned_of() -> None:
    assert warned(NoDefense(), world(340)) == {VICTIM_BROKEN}
    assert warned(NoDefense(), world(360)) == set()
    assert warned(Marked(), world(340, benign_right=360)) == set()
    assert warned(NoDefense(), world(100, benign=True, benign_right=100)) == {VICTIM_AT_CHANCE}


def test_what_a_defense_leaves_is_warned_of_in_its_own_cell() -> None:
    destroyed = reader()
    destroyed.net[-1].weight.data.zero_()
    assert warned(Returns(), world(390)) == set()
    assert warned(Returns(), world(390), destroyed) == {DEFENDED_AT_CHANCE}
    assert warned(Blackens(), world(390)) == {DEFENDED_AT_CHANCE}
    lossy = reader()
    lossy.net[-1].bias.data[3] = -100.0
    assert warned(Returns(), world(390), lossy) == {DEFENDED_BROKEN}


def test_a_record_counts_its_test_images() -> None:
    found, _ = measure(NoDefense(), lambda purpose: None, world(390))  # type: ignore[arg-type, return-value]
    assert found.exhibits["tested"] == {"clean": 400, "triggered": 300}
