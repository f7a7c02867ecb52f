"""The checks of what components learn before they act: ``prepare``, and a defense's ``fit``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from benchkit.contracts import checks
from benchkit.testing.check import require
from benchkit.testing.common import home, require_stored, require_untouched, same, variations
from benchkit.testing.repeated import FIRST, repeats, under

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.data import Tensors
    from benchkit.contracts.defense import Defense
    from benchkit.testing.world import World


def check_prepare(component: Attack | Defense) -> None:
    """``prepare`` returns named tensors that can be stored (safetensors)."""
    require_stored(component.name, "prepare", first_prepared(component, home(component)))


def check_prepare_repeats(component: Attack | Defense) -> None:
    """``prepare`` draws only from ``scene.rng``."""
    where = home(component)
    require(
        repeats(lambda: component.prepare(where.preparing(component)), same, first_prepared(component, where)),
        f"{component.name}.prepare differs between two runs with one seed: draw only from scene.rng",
    )


def check_fit(defense: Defense) -> None:
    """``fit`` returns named tensors that can be stored (safetensors); only a defense that has a victim defines it."""
    if defense.fits():
        require_stored(defense.name, "fit", _first_fitted(defense, home(defense)))


def check_fit_repeats(defense: Defense) -> None:
    """``fit`` draws only from ``scene.rng``."""
    if defense.fits():
        where = home(defense)
        require(
            repeats(lambda: _fitted(defense, where), same, _first_fitted(defense, where)),
            f"{defense.name}.fit differs between two runs with one seed: draw only from scene.rng",
        )


def check_fit_parameters(defense: Defense) -> None:
    """``fit`` returns the same whatever the values of the parameters that are declared ``used_by_fit=False``."""
    where = home(defense)
    unused = (one for one in variations(defense) if one != defense and one.fit_params() == defense.fit_params())
    for other in unused if defense.fits() else ():
        require(
            same(_fitted(other, where), _first_fitted(defense, where)),
            f"{defense.name}.fit returns other tensors for '{other}': its parameter is used, so leave out used_by_fit",
        )


def check_fit_leaves_what_it_is_given(defense: Defense) -> None:
    """``fit`` changes neither the clean hold-out, nor the victim, nor what ``prepare`` returned."""
    if not defense.fits():
        return
    where = home(defense)
    scene = where.fitting(defense)
    learned = {name: tensor.clone() for name, tensor in scene.prepared.items()}
    defense.fit(scene)
    require(same(scene.prepared, learned), f"{defense.name}.fit writes into scene.prepared: clone it")
    require_untouched(f"{defense.name}.fit", scene, where)


def _fitted(defense: Defense, where: World) -> Tensors:
    return checks.tensors(defense.name, defense.fit(where.fitting(defense)), "fit")


@functools.lru_cache(maxsize=64)
def first_prepared(component: Attack | Defense, where: World) -> Tensors:
    """Return what ``prepare`` returns at its first run in a world, which all checks share, under the seed ``FIRST``."""
    made = under(FIRST, lambda: component.prepare(where.preparing(component)))
    return {name: tensor.clone() for name, tensor in checks.tensors(component.name, made).items()}


@functools.lru_cache(maxsize=64)
def _first_fitted(defense: Defense, where: World) -> Tensors:
    """Return what ``fit`` returns at its first run in a world, which all checks share, under the seed ``FIRST``."""
    return {name: tensor.clone() for name, tensor in under(FIRST, lambda: _fitted(defense, where)).items()}
