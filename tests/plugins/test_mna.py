"""Meta neural analysis on models made by hand: a backdoor is a shift of their logits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from benchkit_plugins.defenses.mna.jumbo import Jumbo
from benchkit_plugins.defenses.mna.meta import MetaClassifiers, TrainingSchedule, TwoClass, fresh
from benchkit_plugins.defenses.mna.mna import Mna
from handmade_models import CLASSES, SHAPE, auc, faint, linear, mna, scene, scores, shadows, shifted

import benchkit
from benchkit.models.classifier import Classifier


def test_it_ranks_new_models() -> None:
    defense = mna()
    prepared = defense.prepare(scene(shadows(shifted)))
    assert auc(defense, prepared, shifted) == 1.0


def test_labels_that_say_nothing_teach_nothing() -> None:
    """The same models, every other pair of them shifted: odd numbers are no different from even ones."""

    def unrelated(number: int, _: bool) -> Classifier:
        return shifted(number, bool(number // 2 % 2))

    defense = mna()
    prepared = defense.prepare(scene(shadows(unrelated)))
    assert 0.2 < auc(defense, prepared, unrelated) < 0.8


def test_new_backdoored_models_are_above_the_cutoff_and_benign_ones_under_it() -> None:
    defense = mna()
    prepared = defense.prepare(scene(shadows(shifted)))
    where = dataclasses.replace(scene(), prepared=prepared)
    values = scores(defense, prepared, [shifted(2000 + number, bool(number % 2)) for number in range(40)])
    assert (values[1::2] > defense.flags_above(where)).all()
    assert (values[0::2] > defense.flags_above(where)).float().mean() < 0.3


@pytest.mark.parametrize(("folds", "worlds"), [(1, 16), (4, 5)])
def test_as_many_new_benign_models_are_flagged_as_was_asked_for(folds: int, worlds: int) -> None:
    """In planted worlds of 24 weakly separated shadow models; the plain quantile of three scores flags a quarter."""
    flagged: dict[str, list[float]] = {"fpr:0.05": [], "fpr:0.3": []}
    for world in range(worlds):

        def made(number: int, backdoored: bool, first: int = 100_000 * (world + 1)) -> Classifier:
            return linear(first + number, shift=0.7 if backdoored else 0.0)

        defense = mna(folds=folds, epochs=3, queries=2)
        prepared = defense.prepare(scene(shadows(made, 24), seed=world))
        values = scores(defense, prepared, [made(1000 + number, False) for number in range(40)])
        for threshold, shares in flagged.items():
            cutoff = mna(threshold=threshold).flags_above(dataclasses.replace(scene(), prepared=prepared))
            shares.append(float((values > cutoff).float().mean()))
    strict, loose = (sum(shares) / worlds for shares in flagged.values())
    assert strict < 0.1
    assert 0.1 < loose < 0.65


def test_cutoffs() -> None:
    stored = {"benign_scores": torch.tensor([0.0, 1, 2, 3]), "backdoored_scores": torch.tensor([10.0, 11, 12, 13])}
    where = dataclasses.replace(scene(), prepared=stored)
    assert mna(threshold="fpr:0.25").flags_above(where) == pytest.approx(2.75)
    assert mna(threshold="fpr:0.5").flags_above(where) == pytest.approx(1.5)
    assert mna(threshold="fpr:0.05").flags_above(where) == pytest.approx(1.5 + 2.35336 * 1.290994 * 1.25**0.5, abs=1e-4)
    assert mna(threshold="median").flags_above(where) == pytest.approx(6.5)


def test_each_shadow_model_is_scored_by_those_that_did_not_learn_from_it() -> None:
    """In turns: all of them have a score, and those of the part that the judging meta-classifier held back are its."""
    defense, models = mna(folds=4, epochs=1, repeats=1), shadows(shifted, 8)
    prepared = defense.prepare(scene(models))
    assert prepared["queries"].shape == (1, 4, *SHAPE)
    assert len(prepared["benign_scores"]) == len(prepared["backdoored_scores"]) == 4
    stored = torch.stack((prepared["benign_scores"], prepared["backdoored_scores"]), 1).flatten()
    same = (scores(defense, prepared, models) - stored).abs() < 1e-5
    assert [bool(one) for one in same].count(True) == 2
    assert same[0::2].equal(same[1::2])


def test_stored_scores_are_those_of_the_validation_models() -> None:
    defense, models = mna(), shadows(shifted)
    prepared = defense.prepare(scene(models))
    validating = torch.stack((prepared["benign_scores"], prepared["backdoored_scores"]), 1).flatten()
    assert len(validating) == 16
    torch.testing.assert_close(scores(defense, prepared, models[-16:]), validating, atol=1e-4, rtol=0)


@pytest.mark.parametrize("settings", [{"one_class": True}, {"epochs": 1}])
def test_validation_models_are_not_trained_on(settings: dict[str, Any]) -> None:
    """Other validation models leave queries and weights as they are."""
    models = shadows(shifted)
    others = models[:-16] + [shifted(5000 + number, bool(number % 2)) for number in range(16)]
    first, second = (mna(**settings).prepare(scene(some)) for some in (models, others))
    changed = models[:-18] + others[-18:-16] + others[-16:]
    changed[-17] = changed[-18] = linear(1, shift=5.0)
    third = mna(**settings).prepare(scene(changed))
    for name in ("queries", "hidden_weight", "weight"):
        assert torch.equal(first[name], second[name])
        assert not torch.equal(first[name], third[name])
    assert not torch.equal(first["benign_scores"], second["benign_scores"])


def test_one_class_learns_from_benign_models_alone() -> None:
    """Models whose answers fade are more suspicious than those it saw; backdoored shadows make no difference."""
    defense = mna(one_class=True)
    prepared = defense.prepare(scene(shadows(faint)))
    assert auc(defense, prepared, faint) > 0.95
    blind = [model if not number % 2 or number >= 48 else linear(1) for number, model in enumerate(shadows(faint))]
    assert torch.equal(defense.prepare(scene(blind))["queries"], prepared["queries"])


def test_one_class_does_not_know_how_backdoored_models_score() -> None:
    """Whatever they are, nothing but their own scores changes; with both kinds, the scale does."""
    models = shadows(faint)
    others = [shifted(number, True) if number >= 48 and number % 2 else one for number, one in enumerate(models)]
    differ = {}
    for one_class in (True, False):
        settings = {"one_class": one_class, "epochs": 2, "folds": 2}
        first, second = (mna(**settings).prepare(scene(some)) for some in (models, others))
        differ[one_class] = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert differ[True] == {"backdoored_scores"}
    assert differ[False] >= {"backdoored_scores", "benign_scores", "centre"}


def test_one_class_learns_from_two_benign_models_or_more() -> None:
    defense = mna(one_class=True, epochs=1, models=6, folds=4)
    assert defense.check(SHAPE, CLASSES) is None
    prepared = defense.prepare(scene(shadows(faint, 6)))
    assert len(prepared["benign_scores"]) == 3
    assert prepared["benign_scores"].isfinite().all()


def test_queries_stay_where_they_are_without_tuning() -> None:
    short, long = (mna(tune_queries=False, epochs=epochs).prepare(scene(shadows(shifted))) for epochs in (1, 4))
    assert torch.equal(short["queries"], long["queries"])
    assert not torch.equal(short["hidden_weight"], long["hidden_weight"])
    tuned = mna(epochs=4).prepare(scene(shadows(shifted)))
    assert 0.001 < (tuned["queries"] - long["queries"]).abs().mean() < 0.2


def test_queries_start_as_noise_of_the_images_mean_and_deviation() -> None:
    defense = Mna(start="noise", tune_queries=False, epochs=1, repeats=20, queries=20)
    prepared = defense.prepare(scene(shadows(shifted, 8)))
    assert prepared["queries"].shape == (20, 20, *SHAPE)
    pixels = scene().clean.images.double() / 255
    assert float(prepared["queries"].mean()) == pytest.approx(float(pixels.mean()), abs=0.01)
    assert float(prepared["queries"].std()) == pytest.approx(float(pixels.std()), abs=0.01)
    assert prepared["queries"].min() < 0


def test_queries_start_as_clean_images_with_a_square_of_noise() -> None:
    prepared = Mna(tune_queries=False, epochs=1).prepare(scene(shadows(shifted, 8)))
    clean, asked = scene().clean.images / 255, prepared["queries"].flatten(0, 1)
    assert ((asked[:, None] == clean).float().mean((2, 3, 4)).amax(1) > 0.8).all()


def test_dropout_is_on_in_train_mode_alone() -> None:
    models = [linear(number, shift=2.0 * (number % 2), dropout=True) for number in range(16)]
    for mode, same in (("eval", True), ("train", False)):
        defense = mna(probe_mode=mode)
        prepared = defense.prepare(scene(models))
        asked = [dataclasses.replace(scene(seed=seed), prepared=prepared, granted=models[0]) for seed in (0, 0, 1)]
        first, again, other = (defense.score(where) for where in asked)
        assert first == again
        assert (first == other) == same
    assert not any(module.training for model in models for module in model.modules())


def test_standardised_logits_have_no_scale_and_no_offset() -> None:
    models = shadows(shifted, 16)
    twins = [linear(3), linear(3)]
    with torch.no_grad():
        twins[1].head.weight.mul_(3)
        twins[1].head.bias.add_(5)
    for logits, same in (("standardised", True), ("raw", False)):
        defense = mna(logits=logits)
        one, other = scores(defense, defense.prepare(scene(models)), twins).tolist()
        assert (abs(one - other) < 1e-2) == same


def test_same_seed_same_result() -> None:
    models = shadows(shifted, 8)
    first, again, other = (mna().prepare(scene(models, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["queries"], other["queries"])


def test_meta_classifiers_side_by_side_learn_as_each_alone() -> None:
    torch.manual_seed(0)
    weights = fresh(torch.rand(2, 4, *SHAPE), CLASSES, 8)
    samples = [(model, bool(number % 2)) for number, model in enumerate(shadows(shifted, 16))]

    def trained(some: slice) -> MetaClassifiers:
        meta = MetaClassifiers({name: w[some] for name, w in weights.items()}, standardise=False, dropout=False)
        torch.manual_seed(1)
        TrainingSchedule(epochs=2, lr=0.01, tune=True).run(meta, TwoClass(), samples[:12], samples[12:])
        return meta

    both = trained(slice(2)).state()
    for one in range(2):
        for name, alone in trained(slice(one, one + 1)).state().items():
            torch.testing.assert_close(both[name][one], alone[0], atol=1e-3, rtol=0)
            assert (alone[0] - weights[name][one]).abs().max() > 0.01


def test_models_of_other_classes_are_refused() -> None:
    prepared = mna().prepare(scene(shadows(shifted, 8)))
    where = dataclasses.replace(scene(), classes=5, prepared=prepared, granted=linear(0))
    with pytest.raises(benchkit.ContractError, match="reads 16 logits, the victim gives 20"):
        mna().score(where)


def test_it_asks_for_the_shadow_models_it_describes() -> None:
    wanted = Mna(models=10, clean=0.5, arch="mntd_cnn", recipe="mntd:epochs=20", jumbo="smooth", images=99).shadows()
    assert wanted == Jumbo(10, 0.5, "mntd_cnn", "mntd:epochs=20", "smooth", 99)
    assert Mna().shadows().model == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": 5}, "even number"),
        ({"models": 4, "one_class": True}, "learn from 2 benign models"),
        ({"models": 14, "folds": 1}, "folds=2 or models=16, or more"),
        ({"jumbo": "standart"}, "joined by +"),
        ({"threshold": "argmax"}, "fpr:X"),
        ({"threshold": "fpr:1"}, "fpr:X"),
        ({"images": 7}, "8 or more"),
        ({"arch": ""}, "must not be empty"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], message: str) -> None:
    assert message in str(Mna(**settings).check(SHAPE, CLASSES))
    assert Mna().check(SHAPE, CLASSES) is None


def test_too_few_images_are_refused() -> None:
    few = dataclasses.replace(scene(shadows(shifted, 8)), held=scene().clean[:7])
    with pytest.raises(benchkit.DataError, match="larger clean="):
        mna().prepare(few)
