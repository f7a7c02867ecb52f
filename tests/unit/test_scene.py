"""What a stage does not have: whoever uses it is told, and finds no neutral value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from kit_plugins import Audit, Blackout, Brightness, Patch, Plain, Retouch, Sieve

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
    "scene", [WORLD.preparing(Patch()), WORLD.preparing(Brightness()), WORLD.defending(Brightness())]
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
