"""STRIP and ShrinkPad: do they tell triggered images apart, or move what is in them, as published?"""

from __future__ import annotations

import math

import pytest
import torch
from attack_scenes import seeded
from backdoored_toy import CLASSES, CPU, OTHERS, SHAPE, TEST, scene, triggered
from benchkit_plugins.defenses.shrink_pad import ShrinkPad
from benchkit_plugins.defenses.strip import Strip
from torch import Tensor, nn

from benchkit.contracts.data import Split
from benchkit.contracts.scene import Scene
from benchkit.models.classifier import Classifier


def auroc(clean: Tensor, suspicious: Tensor) -> float:
    wins = suspicious[:, None] > clean
    return float((wins.float() + 0.5 * (suspicious[:, None] == clean).float()).mean())


class Scripted(nn.Module):
    """A stand-in model whose logits follow from the images by a formula."""

    def __init__(self, certain: bool) -> None:
        super().__init__()
        self.certain = certain
        self.seen: list[Tensor] = []

    def logits(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        logits = torch.zeros(len(images), 4)
        logits[:, 0] = 1e4 if self.certain else 0.0
        return logits


def scripted_scene(certain: bool, held: int = 3) -> tuple[Scene, Scripted]:
    model = Scripted(certain)
    values = torch.arange(1, held + 1, dtype=torch.uint8)
    clean = Split(values[:, None, None, None].expand(held, 3, 2, 2).clone(), torch.zeros(held).long())
    return Scene(4, (3, 2, 2), CPU, clean, seeded(0), answers={"logits": model.logits}), model


def test_strip_tells_triggered_inputs_apart(victim: Classifier, benign: Classifier) -> None:
    def separation(model: Classifier) -> float:
        scores = Strip().score(torch.cat([OTHERS.images, triggered(OTHERS.images)]), scene(model))
        return auroc(scores[: len(OTHERS)], scores[len(OTHERS) :])

    assert separation(victim) > 0.9
    assert separation(benign) < 0.75


def test_strip_threshold_flags_triggers_and_keeps_its_false_alarms(victim: Classifier) -> None:
    where, strip = scene(victim), Strip()
    threshold = strip.cutoff(where)
    assert (strip.score(triggered(OTHERS.images), where) > threshold).float().mean() > 0.8
    assert (strip.score(TEST.images, where) > threshold).float().mean() < 0.15


@pytest.mark.parametrize(("certain", "score"), [(True, 0.0), (False, -2.0)])
def test_strip_scores_minus_the_entropy_in_bits(certain: bool, score: float) -> None:
    where, _ = scripted_scene(certain)
    scores = Strip(overlays=3).score(torch.zeros(5, 3, 2, 2, dtype=torch.uint8), where)
    assert scores.dtype == torch.float32
    assert scores.tolist() == pytest.approx([score] * 5, abs=1e-5)


@pytest.mark.parametrize(
    ("blend", "dark", "bright"),
    [("add", {101, 102, 103}, {255}), ("half", {101, 102}, {255}), ("mean", {51, 52}, {128, 129})],
)
def test_strip_blends_and_clips(blend: str, dark: set[int], bright: set[int]) -> None:
    """Overlays are 1, 2 and 3; halves round up."""
    where, model = scripted_scene(certain=True)
    images = torch.tensor([100, 254], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 2, 2)
    Strip(overlays=40, blend=blend).score(images, where)
    seen = torch.cat(model.seen)
    assert seen.dtype == torch.uint8
    assert seen.shape == (80, 3, 2, 2)
    assert set(seen[:40].flatten().tolist()) == dark
    assert set(seen[40:].flatten().tolist()) == bright


def test_strip_never_lays_a_holdout_image_over_itself() -> None:
    where, model = scripted_scene(certain=True)
    Strip(overlays=50).cutoff(where)
    sums = torch.cat(model.seen)[:, 0, 0, 0].view(3, 50)
    assert [set(row.tolist()) for row in sums] == [{3, 4}, {3, 5}, {4, 5}]


def test_strip_threshold_is_the_normal_quantile(monkeypatch: pytest.MonkeyPatch) -> None:
    entropies = torch.tensor([1.0, 2.0, 3.0])
    monkeypatch.setattr(Strip, "_entropies", lambda *_: entropies)
    where, _ = scripted_scene(certain=True)
    expected = -2.0 + math.sqrt(2 / 3) * 1.6448536
    assert Strip(threshold="fpr:0.05").cutoff(where) == pytest.approx(expected, abs=1e-5)


def test_strip_does_not_depend_on_chunks(victim: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Strip().score(TEST.images, scene(victim))
    monkeypatch.setattr("benchkit_plugins.defenses.strip.CHUNK_BYTES", 100_000)
    torch.testing.assert_close(Strip().score(TEST.images, scene(victim)), whole, atol=1e-4, rtol=0)


def test_shrink_pad_places_a_uniform_image_anywhere_on_black() -> None:
    images = torch.full((200, 3, 16, 16), 90, dtype=torch.uint8)
    moved = ShrinkPad(pad=4).purify(images, scene())
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    corners = set()
    for image in moved:
        top, left = image[0].nonzero().amin(0).tolist()
        expected = torch.zeros(3, 16, 16, dtype=torch.uint8)
        expected[:, top : top + 12, left : left + 12] = 90
        assert torch.equal(image, expected)
        corners.add((top, left))
    assert {top for top, _ in corners} == {left for _, left in corners} == {0, 1, 2, 3, 4}
    assert len(corners) == 25


def test_shrink_pad_keeps_each_image_its_own() -> None:
    values = torch.arange(1, 31, dtype=torch.uint8)
    moved = ShrinkPad(pad=2).purify(values[:, None, None, None].expand(30, 1, 6, 9).contiguous(), scene())
    assert torch.equal(moved.flatten(1).amax(1), values)
    assert (moved > 0).flatten(1).sum(1).unique().tolist() == [4 * 7]


def test_shrink_pad_shrinks_a_ramp_to_its_averages() -> None:
    """Half the size: each pixel of a linear ramp becomes the mean of two (the borders lean inwards)."""
    ramp = (torch.arange(16, dtype=torch.uint8) * 10).expand(1, 1, 16, 16).contiguous()
    moved = ShrinkPad(pad=8).purify(ramp, scene())[0, 0]
    top, left = moved.nonzero().amin(0).tolist()
    assert moved[top, left + 1 : left + 7].tolist() == [25, 45, 65, 85, 105, 125]


def test_shrink_pad_refuses_to_shrink_to_nothing() -> None:
    assert ShrinkPad(pad=15).check(SHAPE, CLASSES) is None
    assert "use less" in str(ShrinkPad(pad=16).check(SHAPE, CLASSES))


def test_shrink_pad_takes_no_images() -> None:
    assert ShrinkPad().purify(TEST.images[:0], scene()).shape == (0, *SHAPE)
