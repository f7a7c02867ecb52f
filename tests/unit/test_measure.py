"""The protocol's metrics against hand-made predictions, and the gates against what plugins may return."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchkit import ContractError, DataError, NaturalTrigger, NoAttack
from benchkit.components.baseline import NoDefense
from benchkit.contracts import checks, data_checks
from benchkit.contracts.data import Data, Poisoned, Split
from benchkit.measure.accuracy import accuracies
from benchkit.measure.measure import measure
from benchkit.measure.rates import area, at_argmax, beyond_control, detection, filtering, roc
from benchkit.measure.truth import GroundTruth
from benchkit.protocol import holdout_rows, overlaps, victim_rows


def split(labels: list[int], side: int = 8) -> Split:
    images = torch.randint(0, 256, (len(labels), 3, side, side), dtype=torch.uint8)
    return Split(images, torch.tensor(labels))


def test_asr_and_ra_leave_target_class_images_out() -> None:
    test = split([0, 0, 1, 2, 1, 2])
    rows = torch.tensor([2, 3, 4, 5])
    truth = GroundTruth(False, test, rows, test.images[rows], torch.zeros(4, dtype=torch.long), test.images[rows])
    metrics = accuracies(torch.tensor([0, 0, 1, 2, 1, 0]), torch.tensor([0, 0, 0, 2]), truth)
    assert metrics == pytest.approx({"c_acc": 5 / 6, "asr": 3 / 4, "ra": 1 / 4})


def test_a_benign_row_has_no_asr() -> None:
    test = split([0, 1])
    none = test.labels[:0]
    truth = GroundTruth(True, test, none, test.images[:0], none, test.images[:0])
    assert set(accuracies(test.labels, none, truth)) == {"c_acc"}


def test_the_attacks_own_row_says_how_visible_its_trigger_is() -> None:
    test = split([0, 1, 2], side=16)
    rows = torch.tensor([1, 2])
    stamped = test.images[rows].clone()
    stamped[..., 0, 0] = 255 - stamped[..., 0, 0]
    judged = dict.fromkeys(("clean", "benign_clean"), test.labels)
    judged |= dict.fromkeys(("triggered", "control", "benign_triggered"), test.labels[rows])
    wanted = torch.zeros(2, dtype=torch.long)
    truth = GroundTruth(False, test, rows, stamped, wanted, test.images[rows], judged=judged)
    found, _ = measure(NoDefense(), lambda purpose: None, truth)  # type: ignore[arg-type, return-value]
    metrics = found.metrics
    assert {name: uri[:22] for name, uri in found.exhibits["gallery"].items()} == dict.fromkeys(
        ("clean", "stamped", "difference x5", "spectrum of the change"), "data:image/png;base64,"
    )
    change = (stamped.float() - test.images[rows].float()) / 255
    assert metrics["l2"] == pytest.approx(change.flatten(1).norm(dim=1).mean().item(), rel=1e-5)
    assert metrics["linf"] == pytest.approx(change.flatten(1).abs().amax(1).mean().item(), rel=1e-5)
    assert metrics["ssim"] < 1


def test_detection_metrics_on_known_scores() -> None:
    clean, triggered = torch.arange(100.0), torch.arange(50.0, 150.0)
    found = detection(clean, triggered, threshold=94.5)
    assert found["auroc"] == pytest.approx(1 - 0.5 * 0.5 * 0.5, abs=0.002)
    assert found["fpr"] == pytest.approx(0.05)
    assert found["bdr"] == pytest.approx(0.55)
    assert found["acc"] == pytest.approx((0.95 + 0.55) / 2)
    assert found["tpr_at_1fpr"] == pytest.approx(0.51, abs=0.011)
    assert found["tpr_at_5fpr"] == pytest.approx(0.55, abs=0.011)


@settings(deadline=None)
@given(*[st.lists(st.integers(-4, 4) | st.floats(-5, 5), min_size=1, max_size=20)] * 2)
def test_the_curve_and_its_area_are_those_of_scikit_learn(clean: list[float], triggered: list[float]) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    truth, scores = [0] * len(clean) + [1] * len(triggered), [*clean, *triggered]
    wrong, right = roc(*(torch.tensor(one, dtype=torch.float64) for one in (clean, triggered)))
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert (wrong.tolist(), right.tolist()) == (
        (fpr * len(clean)).round().tolist(),
        (tpr * len(triggered)).round().tolist(),
    )
    assert area(wrong, right) == pytest.approx(roc_auc_score(truth, scores), rel=1e-12, abs=1e-12)


def test_what_the_processing_alone_sets_off_is_taken_off() -> None:
    control, triggered = torch.arange(10.0), torch.arange(5.0, 15.0)
    found = beyond_control(control, triggered, threshold=7.5)
    pairs = (triggered[:, None] > control).double() + 0.5 * (triggered[:, None] == control)
    assert found == pytest.approx({"fpr_control": 0.2, "bdr_net": 0.7 - 0.2, "auroc_control": pairs.mean().item()})
    assert beyond_control(control, control, 7.5)["bdr_net"] == 0


def test_rates_at_a_detectors_own_boundary() -> None:
    clean, triggered = torch.tensor([-1.0, -1.0, -1.0, 1.0]), torch.tensor([1.0, 1.0, -1.0, 0.0])
    found = at_argmax(clean, triggered, control=torch.tensor([1.0, 1.0, 1.0, -1.0]))
    assert found == {"acc_argmax": 0.625, "bdr_argmax": 0.5, "fpr_argmax": 0.25, "fpr_control_argmax": 0.75}


def test_inverted_scores_give_an_auroc_below_a_half() -> None:
    assert detection(torch.ones(5), torch.zeros(5), 0.5)["auroc"] == 0


def test_filtering_counts_against_the_mask() -> None:
    drop, mask = torch.tensor([1, 1, 1, 0, 0, 0]).bool(), torch.tensor([1, 1, 0, 1, 0, 0]).bool()
    none = torch.zeros(6).bool()
    assert filtering(drop, mask, none) == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "fpr": 1 / 3})
    assert filtering(drop, none, none) == {"fpr": 0.5}
    assert filtering(none, mask, none)["precision"] == 0


def test_covers_are_neither_hits_nor_false_alarms_of_a_filter() -> None:
    mask, cover = (torch.tensor(rows).bool() for rows in ([1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]))
    drop = torch.tensor([1, 0, 1, 1, 1, 0, 1, 0]).bool()
    assert filtering(drop, mask, cover) == {"precision": 0.5, "recall": 0.5, "fpr": 0.5, "cover_recall": 0.75}
    assert filtering(cover, mask, cover) == {"precision": 0.0, "recall": 0.0, "fpr": 0.0, "cover_recall": 1.0}


def test_the_hold_out_is_disjoint_from_the_victims_images_up_to_the_reserve() -> None:
    train = split([0, 1] * 100)
    victim = set(victim_rows(train.labels, 3).tolist())
    hold = set(holdout_rows(train.labels, 3, 0.05).tolist())
    assert len(victim) + len(hold) == 200
    assert not victim & hold
    assert not overlaps(0.05)
    assert overlaps(0.06)
    assert hold < set(holdout_rows(train.labels, 3, 0.5).tolist())
    assert hold != set(holdout_rows(train.labels, 4, 0.05).tolist())


IMAGES = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
NOBODY = NoAttack()


class Bright(NaturalTrigger):
    """Bright images."""

    name = "bright"

    def carries(self, split: Split) -> torch.Tensor:
        return split.images.flatten(1).float().mean(1) > 100


@pytest.mark.parametrize("wrong", [IMAGES.float(), IMAGES[:3], IMAGES[:, :1], None, IMAGES.numpy()])
def test_images_must_be_uint8_of_the_same_shape(wrong: Any) -> None:
    with pytest.raises(ContractError, match=r"a\.stamp must return"):
        checks.images("a", "stamp", IMAGES, wrong)


def test_a_stamp_must_change_pixels_unless_the_trigger_is_there_already() -> None:
    with pytest.raises(ContractError, match="changed no pixel in 100%"):
        checks.changes_pixels(NOBODY, IMAGES, IMAGES)
    checks.changes_pixels(NOBODY, IMAGES, IMAGES + 1)
    with pytest.raises(ContractError, match="its stamp changes images"):
        checks.changes_pixels(Bright(), IMAGES, IMAGES + 1)
    checks.changes_pixels(Bright(), IMAGES, IMAGES)


def test_poison_with_a_natural_trigger_has_other_labels_and_the_same_pixels() -> None:
    train, none = split([0, 1, 0, 1]), torch.zeros(4).bool()
    mask = torch.tensor([False, True, False, False])
    checks.poisoned(Bright(), train, Poisoned(Split(train.images, torch.tensor([0, 0, 0, 1])), mask, none))
    with pytest.raises(ContractError, match="whose labels it did not change"):
        checks.poisoned(Bright(), train, Poisoned(train, mask, none))


@pytest.mark.parametrize("wrong", [torch.zeros(3), torch.zeros(4, 1), torch.full((4,), float("nan")), [0] * 4, None])
def test_scores_are_one_finite_number_per_image(wrong: Any) -> None:
    with pytest.raises(ContractError):
        checks.scores("d", "score", wrong, 4)


@pytest.mark.parametrize("wrong", [float("inf"), "x", None, [1, 2]])
def test_a_number_is_finite(wrong: Any) -> None:
    with pytest.raises(ContractError):
        checks.number("d", "score", wrong)


def test_a_mask_that_does_not_line_up_is_refused() -> None:
    train = split([0, 1, 0, 1])
    images = train.images.clone()
    images[1] += 1
    none = torch.zeros(4).bool()
    good = Poisoned(Split(images, train.labels), torch.tensor([False, True, False, False]), none)
    checked = checks.poisoned(NOBODY, train, good)
    assert checked.data.images is good.data.images
    assert checked.mask is good.mask
    for mask in ([True, False, False, False], [True, True, True, True]):
        with pytest.raises(ContractError, match="mask"):
            checks.poisoned(NOBODY, train, Poisoned(good.data, torch.tensor(mask), none))
    relabelled = Split(train.images, 1 - train.labels)
    with pytest.raises(ContractError, match="4 rows"):
        checks.poisoned(NOBODY, train, Poisoned(relabelled, none, none))


def test_a_dataset_must_be_what_it_says() -> None:
    good = split([0, 1, 1])
    assert data_checks.data("d", Data(good, good, ("a", "b")))
    odd = dataclasses.replace(good, attributes={"hat": good.labels})
    faulty = [
        Data(good, good, ("a",)),
        Data(Split(good.images.float(), good.labels), good, ("a", "b")),
        Data(split([0, 1], side=4), good, ("a", "b")),
        Data(split([0, 1], side=9), good, ("a", "b")),
        Data(good[:0], good, ("a", "b")),
        Data(Split(good.images[:, :2], good.labels), good, ("a", "b")),
        Data(good, good, ("a", "b"), "a sentence"),  # type: ignore[arg-type]
        Data(good, dataclasses.replace(good, attributes={"hat": good.labels > 0}), ("a", "b")),
        Data(odd, odd, ("a", "b")),
        None,
    ]
    for wrong in faulty:
        with pytest.raises(DataError, match="dataset d"):
            data_checks.data("d", wrong)
