"""Planted worlds: victims made by hand, in which it is known what a defense should find.

A defense's own tests ask two questions: does it find what is there, and does it stay silent where nothing is? Each
function here returns a :class:`PlantedWorld` that answers them without any training of a victim::

    world = worlds.patch(target=2)
    assert world.found(MyDefense())
    assert worlds.benign().false_alarms(MyDefense()) <= 0.1

``patch``, ``add``, ``natural`` and ``bn_plant`` are classifiers with a planted backdoor, ``benign`` is one without;
``cluster`` and ``mislabel`` are poisoned training sets with planted features. Everything follows from ``seed``.
"""

from __future__ import annotations

from benchkit.testing.worlds.backdoors import add, benign, bn_plant, natural, patch
from benchkit.testing.worlds.features import cluster, mislabel
from benchkit.testing.worlds.planted import PlantedWorld

__all__ = ["PlantedWorld", "add", "benign", "bn_plant", "cluster", "mislabel", "natural", "patch"]
