"""The conformance kit: sound plugins pass every check, what checks are called, and the toy world they use."""

from __future__ import annotations

import pytest
import torch
from kit_plugins import SOUND, Brightness, Patch, Retouch, broken

import benchkit
from benchkit import testing
from benchkit.testing.world import world


@testing.parametrize_with_checks(SOUND)
def test_sound_plugins_pass(check: testing.Check) -> None:
    check()


def test_ids_name_the_plugin_and_the_check() -> None:
    ids = [str(check) for check in testing.checks(Patch(size=5))]
    assert "patch:size=5-stamp-repeats" in ids
    assert len(set(ids)) == len(ids)
    assert "patch-usable-class" in [str(check) for check in testing.checks(Patch)]


def test_checks_use_the_component_that_is_given() -> None:
    spoilt = broken(Patch, stamp=lambda self, images, scene: images.clone() if self.size == 5 else 255 - images)
    for size, caught in ((3, False), (5, True)):
        (check,) = [one for one in testing.checks(spoilt(size=size)) if one.name == "stamp-changes-pixels"]
        if caught:
            with pytest.raises(testing.ConformanceError):
                check()
        else:
            check()


def test_other_classes_are_refused() -> None:
    with pytest.raises(TypeError, match="is not a benchkit Attack"):
        testing.checks(benchkit.Component)


def test_plugins_that_refuse_every_world_are_told() -> None:
    picky = broken(Patch, check=lambda self, shape, classes: "too small")
    with pytest.raises(testing.ConformanceError, match="refuses every toy world"):
        next(one for one in testing.checks(picky) if one.name == "stamp")()


class TestWorld:
    def test_victim_holds_the_backdoor_and_the_clean_model_does_not(self) -> None:
        here = world(3, 16)
        test = here.data.test
        triggered = here.triggered(test.images)
        assert (here.victim.logits(test.images).argmax(1) == test.labels).float().mean() > 0.9
        assert (here.victim.logits(triggered).argmax(1) == 0).float().mean() > 0.9
        assert (here.clean_model.logits(triggered).argmax(1) == test.labels).float().mean() > 0.9

    def test_scenes_hold_only_what_is_declared(self) -> None:
        here = world(3, 16)
        for scene in (here.preparing(Patch()), here.attacking(Patch()), here.defending(Brightness())):
            with pytest.raises(benchkit.ContractError, match="declare it"):
                _ = scene.model
        assert here.defending(Retouch()).model is not here.victim
        assert here.preparing(Retouch()).granted is None
        for without in (here.defending(Brightness()), here.preparing(Patch())):
            with pytest.raises(benchkit.ContractError, match="poison_rate"):
                _ = without.poison_rate

    def test_hold_out_is_disjoint_from_the_training_set(self) -> None:
        here = world(1, 16)
        both = torch.cat([here.data.train.images, here.holdout.images, here.data.test.images])
        assert len(both.unique(dim=0)) == 256 + 64 + 64
