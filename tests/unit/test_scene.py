"""What a stage does not have: whoever uses it is told, and finds no neutral value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from kit_plugins import Audit, Blackout, Brightness, Patch, Plain, Retouch, Sieve, broken
from torch import Tensor

import benchkit
from benchkit.testing.world import RATE, world

WORLD = world(3, 16)

USES: dict[str, Callable[[Any], Any]] = {
    "item": lambda found: found["trigger"],
    "get": lambda found: found.get("trigger"),
    "length": len,
    "iteration": list,
    "truth": bool,
    "membership": lambda found: "trigger" in found,
}


@pytest.mark.parametrize(
    "scene", [WORLD.preparing(Patch()), WORLD.drawing(), WORLD.preparing(Brightness()), WORLD.defending(Brightness())]
)
def test_only_an_attack_that_knows_its_rate_reads_one(scene: benchkit.Scene) -> None:
    with pytest.raises(benchkit.ContractError, match=r"not in prepare\(\).*use it in poison\(\)"):
        _ = scene.poison_rate


def test_an_attack_reads_the_rate_it_is_given_even_none() -> None:
    scene = WORLD.attacking(Patch())
    assert scene.poison_rate == RATE
    assert replace(scene, rate=0.0).poison_rate == 0.0


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("component", [Patch(), Brightness()], ids=str)
def test_nothing_is_prepared_while_it_is_being_prepared(component: Any, use: Callable[[Any], Any]) -> None:
    with pytest.raises(benchkit.ContractError, match=r"what prepare\(\) returns"):
        use(WORLD.preparing(component).prepared)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize(
    "scene",
    [
        WORLD.attacking(Patch()),
        WORLD.preparing(Brightness()),
        WORLD.fitting(Brightness()),
        WORLD.defending(Sieve()),
        WORLD.defending(Plain()),
    ],
    ids=["attack", "prepare", "fit", "filter", "training"],
)
def test_nothing_is_fitted_where_no_fit_came_before(scene: benchkit.Scene, use: Callable[[Any], Any]) -> None:
    with pytest.raises(benchkit.ContractError, match=r"what a defense's fit\(\) returns"):
        use(scene.fitted)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("name", ["others", "shadows"])
@pytest.mark.parametrize("scene", [WORLD.attacking(Patch()), WORLD.defending(Brightness())], ids=["attack", "defense"])
def test_what_defenses_learn_from_is_there_while_they_prepare(
    scene: benchkit.Scene, name: str, use: Callable[[Any], Any]
) -> None:
    with pytest.raises(benchkit.ContractError, match=rf"scene\.{name} is there in a defense's prepare"):
        use(getattr(scene, name))


def test_what_was_not_asked_for_is_empty_where_it_could_have_been() -> None:
    scene = WORLD.preparing(Brightness())
    assert (dict(scene.others), list(scene.shadows)) == ({}, [])
    assert dict(WORLD.defending(Brightness()).prepared) == {}
    assert dict(WORLD.attacking(Patch()).prepared) == {}
    for defense in (Brightness(), Blackout(), Retouch(), Audit()):
        assert dict(WORLD.defending(defense).fitted) == {}


MODELLED = broken(Patch, needs=frozenset({"model"}), access="training")()


def weights(model: Any) -> Tensor:
    return torch.cat([one.detach().flatten() for one in model.parameters()])


@pytest.mark.parametrize("use", ["model", "fit", "epochs_for", "network"])
def test_only_where_a_model_is_declared_do_crafting_and_poisoning_depend_on_the_architecture(use: str) -> None:
    uses: dict[str, Callable[[benchkit.Scene], Any]] = {
        "model": lambda scene: scene.model,
        "fit": lambda scene: scene.fit(scene.clean, epochs=0.1),
        "epochs_for": lambda scene: scene.epochs_for(9),
        "network": lambda scene: scene.network(),
    }
    for scene in (WORLD.preparing(MODELLED), WORLD.poisoning(MODELLED), WORLD.training(MODELLED)):
        assert uses[use](scene) is not None
    for without in (WORLD.preparing(Patch()), WORLD.poisoning(Patch()), WORLD.attacking(MODELLED), WORLD.drawing()):
        with pytest.raises(benchkit.ContractError, match=rf"scene\.{use}.*frozenset.*prepare\(\)"):
            uses[use](without)


def test_an_attack_has_one_model_in_all_its_methods() -> None:
    scenes = WORLD.preparing(MODELLED), WORLD.poisoning(MODELLED), WORLD.training(MODELLED)
    first, *others = [weights(scene.model) for scene in scenes]
    assert all(torch.equal(first, other) for other in others)


def test_a_network_is_untrained_and_follows_from_the_scenes_random_numbers() -> None:
    one, same, other = (WORLD.training(Patch(), seed=seed) for seed in (0, 0, 1))
    first = one.network()
    assert torch.equal(weights(first), weights(same.network()))
    assert not torch.equal(weights(first), weights(one.network()))
    assert not torch.equal(weights(first), weights(other.network()))
    assert not first.training
    assert (first.logits(one.clean.images).argmax(1) == one.clean.labels).float().mean() < 0.6
    torch.testing.assert_close(first.mean, (one.clean.images / 255).mean((0, 2, 3)), atol=1e-3, rtol=0)


def test_a_defense_without_clean_images_says_what_its_network_will_see() -> None:
    scene, train = WORLD.defending(Plain()), WORLD.poisoned.data
    with pytest.raises(benchkit.ContractError, match=r"scene\.network\(train\)"):
        scene.network()
    torch.testing.assert_close(scene.network(train).mean, (train.images / 255).mean((0, 2, 3)), atol=1e-3, rtol=0)
