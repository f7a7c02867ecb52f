"""Certificates of votes: no certified answer changes, whatever is done to as many training images as they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, product

import pytest
import torch
from attack_scenes import noise, seeded
from benchkit_plugins._shared.votes import by_content, certain
from benchkit_plugins.defenses.bagging import Bagging, Certificate, certified_size
from benchkit_plugins.defenses.dpa import DeepPartitionAggregation
from benchkit_plugins.defenses.knn_cert.features import FEATURES, hog
from benchkit_plugins.defenses.knn_cert.knn_cert import CertifiedNeighbours, Voters
from number_line import CLASSES, GRID, LEVELS, changed, line, scene
from scipy.stats import beta
from skimage.feature import hog as published_hog
from torch import Tensor

import benchkit
from benchkit.testing.world import world

DPA, NEIGHBOURS = DeepPartitionAggregation(parts=LEVELS), CertifiedNeighbours(k=5, features="pixels")
POINTS = line([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4], [0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 1, 1])


def judged(defense: benchkit.RobustTraining, data: benchkit.Split) -> tuple[Tensor, Tensor, Tensor]:
    """Return votes, answers and certified numbers of images, for all images that there are."""
    said = defense.train(data, scene())
    assert isinstance(said, benchkit.Verdict)
    assert said.certificate is not None
    votes = said.score.logits(GRID)
    return votes, votes.argmax(1), said.certificate(GRID)


@pytest.mark.parametrize(
    ("votes", "radius"),
    [([10, 6], 2), ([6, 10], 1), ([8, 8], 0), ([7, 3], 2), ([3, 7], 1), ([5, 0, 4], 0), ([0, 0], 0)],
)
def test_votes_are_certain_as_far_as_the_papers_say(votes: list[int], radius: int) -> None:
    assert certain(torch.tensor([votes])).tolist() == [radius]


@pytest.mark.parametrize("voters", range(1, 8))
def test_no_certain_winner_changes_with_as_many_votes_and_one_more_may_do(voters: int) -> None:
    split = torch.tensor([one for one in product(range(voters + 1), repeat=3) if sum(one) == voters])
    radius, winner = certain(split), split.argmax(1)
    moved = (split[:, None] - split[None]).abs().sum(2) // 2
    other = winner[:, None] != winner[None]
    assert not (other & (moved <= radius[:, None])).any()
    assert (other & (moved == radius[:, None] + 1)).any(1).float().mean() > 0.5


def test_content_decides_the_order_whatever_the_places() -> None:
    images, labels = noise(40, (1, 2, 1)) // 100, torch.arange(40) % 3
    order = torch.randperm(40, generator=seeded())
    first, second = by_content(images, labels), by_content(images[order], labels[order])
    assert torch.equal(images[first], images[order][second])
    assert torch.equal(labels[first], labels[order][second])
    keys = [
        (*image.flatten().tolist(), label) for image, label in zip(images[first], labels[first].tolist(), strict=True)
    ]
    assert keys == sorted(keys)


PARTS = line([level for level in range(LEVELS) for _ in range(3)], [1, 1, 0] * LEVELS)
"""Each part votes for class 1, and for class 0 with one more image of that."""


def test_no_change_of_one_image_changes_a_certified_answer_of_partitions() -> None:
    _, before, radius = judged(DPA, PARTS)
    assert set(radius.tolist()) == {1}
    for data in changed(PARTS, 1):
        assert torch.equal(judged(DPA, data)[1], before)
    close = benchkit.Split(PARTS.images, torch.tensor([1, 1, 0] * 3 + [0, 0, 0] * 2))
    _, before, radius = judged(DPA, close)
    assert set(radius.tolist()) == {0}
    assert any(not torch.equal(judged(DPA, data)[1], before) for data in changed(close, 1))


def inserted(data: benchkit.Split, count: int) -> Iterator[benchkit.Split]:
    """Yield the set with any ``count`` images more."""
    for more in combinations_with_replacement(product(range(LEVELS), range(CLASSES)), count):
        new = line(*map(list, zip(*more, strict=True)))
        yield benchkit.Split(torch.cat([data.images, new.images]), torch.cat([data.labels, new.labels]))


def test_an_insertion_moves_one_vote_of_partitions_and_the_paper_counts_those() -> None:
    votes, before, _ = judged(DPA, PARTS)
    radius = certain(votes)
    assert set(radius.tolist()) == {2}
    assert all(torch.equal(judged(DPA, data)[1], before) for data in inserted(PARTS, 2))
    assert any(not torch.equal(judged(DPA, data)[1], before) for data in inserted(PARTS, 3))


def test_the_order_of_the_training_set_changes_no_bit_of_partitions() -> None:
    where, data = world(3, 16), world(3, 16).data.train
    order = torch.randperm(len(data), generator=seeded())
    quick = DeepPartitionAggregation(parts=2, epochs=0.5)
    logits = []
    for given in (data, data[order]):
        said = quick.train(given, where.defending(quick))
        logits += [[one.logits(where.inputs) for one in said.score.models]]
    assert all(torch.equal(one, other) for one, other in zip(*logits, strict=True))
    assert not torch.equal(*logits[0])


def test_no_change_of_one_image_changes_a_certified_answer_of_neighbours() -> None:
    _, before, radius = judged(NEIGHBOURS, POINTS)
    assert set(radius.tolist()) == {0, 1, 2}
    attacked = torch.zeros(LEVELS, dtype=torch.bool)
    kept = torch.ones(len(POINTS), dtype=torch.bool)
    removed = [POINTS[kept.index_fill(0, torch.tensor([row]), False)] for row in range(len(POINTS))]
    for data in (*changed(POINTS, 1), *removed, *inserted(POINTS, 1)):
        attacked |= judged(NEIGHBOURS, data)[1] != before
    assert not (attacked & (radius >= 1)).any()
    assert (attacked & (radius == 0)).any()


def test_no_change_of_two_images_changes_an_answer_certified_for_two_and_some_change_one_certified_for_one() -> None:
    """Among neighbours of levels 0 and 4 alone, since the others are farther away than the five that vote."""
    data = line([0, 0, 0, 0, 0, 4, 4, 4, 4, 4], [0, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    _, before, radius = judged(NEIGHBOURS, data)
    assert radius[[0, LEVELS - 1]].tolist() == [2, 1]
    attacked = torch.zeros(LEVELS, dtype=torch.bool)
    for first, second in product(range(3), range(5, 8)):
        for levels in product((0, 4), repeat=2):
            for labels in product(range(CLASSES), (0, 2)):
                both = [first, second]
                images, own = data.images.clone(), data.labels.clone()
                images[both, 0, 0, 0], own[both] = torch.tensor(levels, dtype=torch.uint8), torch.tensor(labels)
                attacked |= judged(NEIGHBOURS, benchkit.Split(images, own))[1] != before
    assert not attacked[0]
    assert attacked[LEVELS - 1]


def test_all_neighbours_give_the_commonest_class_and_a_radius_lets_those_within_it_vote() -> None:
    everything = judged(CertifiedNeighbours(k=99, features="pixels"), POINTS)[0]
    assert everything.tolist() == [[6.0, 5.0, 1.0]] * LEVELS
    within = judged(CertifiedNeighbours(features="pixels", radius=1 / 255), POINTS)[0]
    assert within.tolist() == [[5, 0, 0], [6, 1, 0], [3, 3, 1], [1, 5, 1], [0, 4, 1]]


def test_of_equally_near_neighbours_those_that_come_first_vote() -> None:
    voters = Voters(torch.tensor([[0.0], [2.0], [2.0], [4.0]]).double(), torch.eye(4).double(), k=2)
    assert voters(torch.tensor([[2.0], [1.0], [3.0]]).double()).tolist() == [[0, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0]]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_histograms_of_gradients_are_those_of_scikit_image(shape: tuple[int, int, int]) -> None:
    images, cell = noise(3, shape), max(4, shape[1] // 8)
    made = [
        published_hog(one.permute(1, 2, 0).double().numpy(), 9, (cell, cell), (2, 2), "L2", channel_axis=2)
        for one in images
    ]
    torch.testing.assert_close(hog(images), torch.stack([torch.from_numpy(one) for one in made]).float())
    assert all(torch.equal(one, one.round()) for one in (make(images) for make in FEATURES.values()))


@pytest.mark.parametrize(
    ("sample", "rows", "lower", "upper", "size"),
    [
        (100, 60000, 0.9, 0.05, 331),
        (100, 60000, 1.0, 0.0, 414),
        (30, 60000, 0.9, 0.05, 1096),
        (100, 60000, 0.6, 0.3, 97),
        (50, 1000, 0.9, 0.05, 11),
        (50, 1000, 0.99, 0.005, 13),
        (10, 1000, 0.9, 0.05, 53),
        (10, 1000, 0.4, 0.4, -1),
    ],
)
def test_certified_sizes_of_bagging_are_the_known_ones(
    sample: int, rows: int, lower: float, upper: float, size: int
) -> None:
    assert certified_size(sample, rows, lower, upper) == size


def test_bounds_hold_for_all_classes_together() -> None:
    lower, upper = Certificate(500, 5000, 0.001).bounds(64, 0, 64, 10)
    assert lower == pytest.approx(0.0001 ** (1 / 64))
    assert upper == pytest.approx(1 - lower)
    lower, upper = Certificate(500, 5000, 0.001).bounds(40, 10, 64, 10)
    assert upper == pytest.approx(beta.ppf(1 - 0.001 / 10, 11, 54))
    lower, upper = Certificate(500, 5000, 0.001).bounds(40, 24, 64, 2)
    assert lower < 40 / 64 < 1
    assert upper == pytest.approx(1 - lower)


def test_votes_that_agree_are_certified_for_more_images_and_a_tie_is_not() -> None:
    votes = torch.tensor([[64, 0, 0], [0, 60, 4], [34, 30, 0], [32, 32, 0]])
    found = Certificate(10, 1000, 0.001)(votes.float()).tolist()
    lower = (0.001 / 3) ** (1 / 64)
    assert found[0] == certified_size(10, 1000, lower, 1 - lower)
    assert found[0] > found[1] > 0
    assert found[2:] == [-1, -1]


def test_of_the_default_number_of_models_all_must_agree_and_small_sets_have_no_certified_change() -> None:
    """What the docstring of bagging says of its defaults."""
    votes = torch.tensor([[16.0] + [0.0] * 9, [15.0, 1.0] + [0.0] * 8])
    assert (Bagging().models, Bagging().sample) == (16, 1000)
    assert Certificate(1000, 4750, 0.001)(votes).tolist() == [0, -1]
    assert Certificate(1000, 47500, 0.001)(votes).tolist() == [3, -1]


def test_no_change_within_its_size_changes_the_winner_of_all_samples() -> None:
    """With all 36 samples of two of six images, the bounds are the shares themselves."""

    def shares(data: benchkit.Split, level: int) -> Counter[int]:
        known = list(zip(data.images.flatten().tolist(), data.labels.tolist(), strict=True))
        pairs = product(known, repeat=2)
        return Counter(min(pair, key=lambda one: (abs(one[0] - level), one[1]))[1] for pair in pairs)

    data = line([0, 0, 1, 1, 2, 4], [0, 0, 0, 0, 0, 1])
    sizes = []
    for level in range(LEVELS):
        votes = shares(data, level)
        (winner, most), second = votes.most_common(1)[0], max((n for c, n in votes.items() if c), default=0)
        sizes.append(certified_size(2, 6, most / 36, second / 36))
        if sizes[-1] >= 1:
            for other in changed(data, 1):
                found = shares(other, level)
                assert max(range(CLASSES), key=lambda one: (found[one], -one)) == winner
    assert 1 in sizes


def test_bagged_models_see_samples_and_vote() -> None:
    votes, answers, radius = judged(Bagging(models=30, sample=4), POINTS)
    assert votes.sum(1).tolist() == [30.0] * LEVELS
    assert answers[[0, -1]].tolist() == [0, 1]
    assert 0 < votes[2].max() < 30
    assert radius.min() == -1
