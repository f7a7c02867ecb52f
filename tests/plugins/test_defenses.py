"""The built-in defenses in a toy world: do they find or remove a backdoor, and spare what is clean?"""

from __future__ import annotations

import dataclasses
import functools
import math

import pytest
import torch
from benchkit_plugins.defenses.abl import AntiBackdoorLearning
from benchkit_plugins.defenses.activation_clustering import ActivationClustering
from benchkit_plugins.defenses.fine_pruning import FinePruning
from benchkit_plugins.defenses.fine_tuning import FineTuning
from benchkit_plugins.defenses.neural_cleanse import NeuralCleanse, anomaly_index
from benchkit_plugins.defenses.shrink_pad import ShrinkPad
from benchkit_plugins.defenses.spectral_signatures import SpectralSignatures
from benchkit_plugins.defenses.strip import Strip
from torch import Tensor, nn

from benchkit.models import Classifier
from benchkit.recipes import Fast
from benchkit.scene import Poisoned, Scene, Split
from benchkit.train import Trainer

CLASSES, SHAPE, CPU = 5, (3, 16, 16), torch.device("cpu")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveMaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, CLASSES)),
    )


def smooth(count: int, rng: torch.Generator) -> Tensor:
    return nn.functional.interpolate(torch.rand(count, 3, 4, 4, generator=rng), size=SHAPE[1:], mode="bilinear")


def drawn(count: int, seed: int) -> Split:
    """Return dark images: one smooth pattern per class, a smooth disturbance per image, and noise."""
    rng, labels = seeded(seed), torch.arange(count) % CLASSES
    gain = 60 + 40 * torch.rand(count, 1, 1, 1, generator=rng)
    images = gain * smooth(CLASSES, seeded(0))[labels] + 40 * smooth(count, rng)
    images = images + 10 * torch.randn(count, *SHAPE, generator=rng)
    return Split(images.clamp(0, 255).round().to(torch.uint8), labels)


TRAIN, HOLDOUT, TEST = drawn(600, 1), drawn(100, 2), drawn(200, 3)
OTHERS = TEST[TEST.labels != 0]
TRAINER = Trainer(Fast(epochs=10, batch=40, flip=False, crop=0, smoothing=0.1), network, CPU)


def triggered(images: Tensor) -> Tensor:
    """Return the images with a white 3x3 square near the bottom-right corner."""
    stamped = images.clone()
    stamped[..., -4:-1, -4:-1] = 255
    return stamped


@functools.cache
def poisoned() -> Poisoned:
    """Return the training set with 36 rows (6 %) triggered and relabelled 0: 23 % of label 0."""
    rows = (TRAIN.labels != 0).nonzero().squeeze(1)[:36]
    return Poisoned.replacing(TRAIN, rows, triggered(TRAIN.images[rows]), TRAIN.labels[rows] * 0)


@pytest.fixture(scope="module")
def victim() -> Classifier:
    return TRAINER.fit(poisoned().data, rng=seeded(5))


@pytest.fixture(scope="module")
def benign() -> Classifier:
    return TRAINER.fit(TRAIN, rng=seeded(6))


def scene(model: Classifier | None = None, seed: int = 0) -> Scene:
    return Scene(CLASSES, SHAPE, CPU, HOLDOUT, seeded(seed), granted=model.copy() if model else None, trainer=TRAINER)


def accuracy(model: Classifier) -> float:
    return float((model.logits(TEST.images).argmax(1) == TEST.labels).float().mean())


def attack_success(model: Classifier) -> float:
    return float((model.logits(triggered(OTHERS.images)).argmax(1) == 0).float().mean())


def auroc(clean: Tensor, suspicious: Tensor) -> float:
    wins = suspicious[:, None] > clean
    return float((wins.float() + 0.5 * (suspicious[:, None] == clean).float()).mean())


class Scripted(nn.Module):
    """A stand-in model whose logits follow from the images by a formula."""

    def __init__(self, certain: bool) -> None:
        super().__init__()
        self.certain, self.seen = certain, []  # type: ignore[var-annotated]

    def logits(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        logits = torch.zeros(len(images), 4)
        logits[:, 0] = 1e4 if self.certain else 0.0
        return logits


def scripted_scene(certain: bool, held: int = 3) -> tuple[Scene, Scripted]:
    model = Scripted(certain)
    values = torch.arange(1, held + 1, dtype=torch.uint8)
    clean = Split(values[:, None, None, None].expand(held, 3, 2, 2).clone(), torch.zeros(held).long())
    return Scene(4, (3, 2, 2), CPU, clean, seeded(0), granted=model), model  # type: ignore[arg-type]


def test_toy_backdoor_works(victim: Classifier, benign: Classifier) -> None:
    assert accuracy(victim) > 0.97
    assert attack_success(victim) > 0.95
    assert attack_success(benign) < 0.05


# --- STRIP -----------------------------------------------------------------------------------------------


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


# --- ShrinkPad -------------------------------------------------------------------------------------------


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


# --- training filters ------------------------------------------------------------------------------------

FILTERS = [SpectralSignatures(eps=0.2), ActivationClustering(reduce="pca")]


@pytest.mark.parametrize("defense", FILTERS, ids=str)
def test_filters_find_the_poison(defense: SpectralSignatures | ActivationClustering, victim: Classifier) -> None:
    dropped = defense.suspicion(poisoned().data, scene(victim)) > 0
    mask = poisoned().mask
    target = poisoned().data.labels == 0
    assert dropped[mask].float().mean() > 0.9
    assert mask[dropped & target].float().mean() > 0.7


@pytest.mark.parametrize("defense", FILTERS, ids=str)
def test_suspicion_follows_the_rows(defense: SpectralSignatures | ActivationClustering, victim: Classifier) -> None:
    order = torch.randperm(len(TRAIN), generator=seeded(9))
    straight = defense.suspicion(poisoned().data, scene(victim)) > 0
    shuffled = defense.suspicion(poisoned().data[order], scene(victim)) > 0
    assert straight.any()
    assert (shuffled != straight[order]).sum() <= 4


@pytest.mark.parametrize(("of", "share"), [("label", 0.15), ("set", 0.5)])
def test_spectral_signatures_drops_its_share_of_every_label(of: str, share: float, benign: Classifier) -> None:
    dropped = SpectralSignatures(eps=0.1, of=of).suspicion(TRAIN, scene(benign)) > 0
    if of == "set":
        share = min(0.5, 1.5 * 0.1 * CLASSES)
    assert [int(dropped[TRAIN.labels == k].sum()) for k in range(CLASSES)] == [int(share * 120)] * CLASSES


def test_spectral_signatures_survives_tiny_labels(benign: Classifier) -> None:
    few = TRAIN[torch.tensor([0, 1, 2, 7, 12])]
    suspicion = SpectralSignatures(eps=1.0).suspicion(few, scene(benign))
    assert suspicion.isfinite().all()
    assert [int((suspicion[few.labels == k] > 0).sum()) for k in range(3)] == [0, 0, 1]


@pytest.mark.parametrize("reduce", ["ica", "pca"])
def test_activation_clustering_drops_nothing_clean(reduce: str, benign: Classifier) -> None:
    suspicion = ActivationClustering(reduce=reduce, silhouette=0.25).suspicion(TRAIN, scene(benign))
    assert (suspicion > 0).float().mean() < 0.02


@pytest.mark.parametrize("change", [{"size": 0.1}, {"silhouette": 0.9}])
def test_activation_clustering_tests_size_and_silhouette(change: dict[str, float], victim: Classifier) -> None:
    defense = dataclasses.replace(ActivationClustering(reduce="pca"), **change)  # type: ignore[arg-type]
    assert not (defense.suspicion(poisoned().data, scene(victim)) > 0)[poisoned().mask].any()


@pytest.mark.parametrize("reduce", ["ica", "pca"])
def test_activation_clustering_survives_tiny_and_constant_labels(reduce: str, benign: Classifier) -> None:
    rows = torch.tensor([0, 0, 0, 0, 1, 2, 7, 3, 8, 13])
    suspicion = ActivationClustering(reduce=reduce).suspicion(TRAIN[rows], scene(benign))
    assert suspicion.isfinite().all()
    assert (suspicion[:5] < 0).all()


# --- anti-backdoor learning ------------------------------------------------------------------------------


def test_abl_does_not_learn_the_backdoor() -> None:
    model = AntiBackdoorLearning(isolation=0.03).train(poisoned().data, scene())
    assert attack_success(model) < 0.3
    assert accuracy(model) > 0.9


def test_abl_spares_a_clean_training_set() -> None:
    assert accuracy(AntiBackdoorLearning().train(TRAIN, scene())) > 0.9


# --- repairs ---------------------------------------------------------------------------------------------


def test_fine_tuning_moves_weights_and_keeps_accuracy(victim: Classifier) -> None:
    tuned = FineTuning(epochs=3).repair(scene(victim))
    assert not torch.equal(tuned.head.weight, victim.head.weight)
    assert accuracy(tuned) > 0.95


def last_maps(model: Classifier, images: Tensor) -> Tensor:
    """Return each channel's largest activation behind the last convolution's BatchNorm and ReLU."""
    with torch.no_grad():
        return model.net[:7](model.normalised(images)).amax(dim=(0, 2, 3))  # type: ignore[index,operator,no-any-return]


def test_fine_pruning_removes_the_backdoor(victim: Classifier) -> None:
    repaired = FinePruning().repair(scene(victim))
    assert attack_success(repaired) < 0.5
    assert accuracy(repaired) > 0.9


def test_fine_pruning_leaves_pruned_channels_at_zero(victim: Classifier) -> None:
    dormant = last_maps(victim, HOLDOUT.images) == 0
    repaired = FinePruning().repair(scene(victim))
    silent = repaired.last_conv.weight.flatten(1).abs().sum(1) == 0
    assert 0 < silent.sum() < 32
    assert silent[dormant].all()
    assert (last_maps(repaired, torch.cat([TEST.images, triggered(TEST.images)]))[silent] == 0).all()
    assert (last_maps(repaired, TEST.images)[~silent] > 0).any()


def test_fine_pruning_prunes_more_where_more_accuracy_may_go(victim: Classifier) -> None:
    def pruned(max_drop: float) -> int:
        repaired = FinePruning(max_drop=max_drop, epochs=0.1).repair(scene(victim))
        return int((repaired.last_conv.weight.flatten(1).abs().sum(1) == 0).sum())

    assert pruned(0.0) < pruned(0.3) < pruned(0.99) == 31


# --- Neural Cleanse --------------------------------------------------------------------------------------


def test_neural_cleanse_finds_the_target(victim: Classifier, benign: Classifier) -> None:
    sizes = NeuralCleanse(batch=8).trigger_sizes(scene(victim))
    assert sizes.shape == (CLASSES,)
    assert int(sizes.argmin()) == 0
    assert sizes[0] < 0.7 * sizes[1:].min()
    assert NeuralCleanse(batch=8).trigger_sizes(scene(benign))[0] > 1.5 * sizes[0]


def test_neural_cleanse_score_is_the_anomaly_index(victim: Classifier) -> None:
    quick = NeuralCleanse(rounds=3, batch=4)
    assert quick.score(scene(victim)) == anomaly_index(quick.trigger_sizes(scene(victim)))
    assert quick.cutoff(scene(victim)) == 2.0


def test_neural_cleanse_covers_all_labels_in_chunks(victim: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchkit_plugins.defenses.neural_cleanse.CHUNK_IMAGES", 16)
    sizes = NeuralCleanse(rounds=60, batch=8).trigger_sizes(scene(victim))
    assert len(sizes.unique()) == CLASSES
    assert int(sizes.argmin()) == 0


def test_neural_cleanse_leaves_the_weights_alone(victim: Classifier) -> None:
    where = scene(victim)
    NeuralCleanse(rounds=2, batch=4).score(where)
    pairs = zip(where.model.parameters(), victim.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize(
    ("sizes", "index"),
    [
        ([1.0, 8.0, 10.0, 12.0, 14.0], 9 / (1.4826 * 2)),
        ([10.0, 10.0, 10.0, 50.0], 0.0),
        ([2.0, 4.0], 1 / 1.4826),
        ([1.0, 10.0, 10.0, 10.0], 900.0),
    ],
)
def test_anomaly_index(sizes: list[float], index: float) -> None:
    assert anomaly_index(torch.tensor(sizes)) == pytest.approx(index, rel=1e-6)


# --- all -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defense", [Strip(overlays=4), ActivationClustering(), FinePruning(epochs=1)], ids=str)
def test_same_seed_same_answer(defense: Strip | ActivationClustering | FinePruning, victim: Classifier) -> None:
    def answer() -> Tensor:
        if isinstance(defense, Strip):
            return defense.score(TEST.images, scene(victim))
        if isinstance(defense, ActivationClustering):
            return defense.suspicion(poisoned().data, scene(victim))
        return defense.repair(scene(victim)).logits(TEST.images)

    assert torch.equal(answer(), answer())
