"""Every built-in plugin, found as anyone's is, keeps to the contracts that others are held to."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import benchkit
from benchkit import testing
from benchkit.components.baseline import NoDefense
from benchkit.params.build import build
from benchkit.params.component import fields_of
from benchkit.testing.attacks import check_stamp_any_count
from benchkit.testing.controls import check_control_any_count
from benchkit.testing.datasets import check_missing_files

POINTS = [point for point in entry_points(group="benchkit") if point.dist and point.dist.name == "benchkit"]
DRAWN = {"scenes"}
"""Datasets that need no files; the others are checked for what they say about themselves."""
FROM_FILES = {"replay"}
"""Attacks that need files; they are checked with some in test_replay.py, and here for their declarations."""
SLOW = {"other-device"}
"""Checks that are left to ``pytest -m slow``, for their time."""
QUICK: dict[str, dict[str, float]] = {
    "troj-sq": {"steps": 20},
    "troj-wm": {"steps": 20},
    "l2-inv": {"steps": 60},
    "l0-inv": {"steps": 20},
    "smooth": {"n_images": 10, "max_passes": 1, "df_iter": 5},
    "freq-detector": {"rounds": 1},
    "freq-filter": {"rounds": 1},
    "fine-tuning": {"epochs": 1},
    "badexpert": {"unlearn_lr": 0.01},
    "mna": {"models": 8, "epochs": 2, "repeats": 2},
    "neural-cleanse": {"rounds": 5},
    "issba": {"images": 32, "epochs": 1},
    "hidden-trigger": {"steps": 3},
    "label-consistent": {"steps": 3},
    "abl": {"unlearn_epochs": 2},
    "bagging": {"models": 3, "sample": 64, "epochs": 1},
    "dp-loss": {"epochs": 1},
    "dp-sgd": {"epochs": 1},
    "dpa": {"parts": 3, "epochs": 1},
    "maxup": {"copies": 2},
    "asset": {"epochs": 1, "inner_steps": 5},
    "autoencoder": {"steps": 5},
    "deepinspect": {"rounds": 2},
    "deepsweep": {"epochs": 1},
    "tabor": {"steps": 10},
}
"""Parameters that make a plugin fast; what it does and returns stays the same."""


def built_ins() -> Iterator[Any]:
    """Yield the classes that the built-in modules offer, with quick parameters where there are some."""
    for module in {point.value: importlib.import_module(point.value) for point in POINTS}.values():
        for kind in ("attacks", "defenses", "datasets"):
            yield from getattr(module, f"benchkit_{kind}", list)()


def checks_of(cls: Any) -> list[testing.Check]:
    if (issubclass(cls, benchkit.Dataset) and cls.name not in DRAWN) or cls.name in FROM_FILES:
        return testing.declaration_checks(cls)
    if cls is NoDefense:  # the harness's own reference column; it is of none of the six kinds
        return testing.declaration_checks(cls)
    return testing.checks(build(cls, QUICK[cls.name]) if cls.name in QUICK else cls)


CLASSES = list(built_ins())
CHECKS = [
    pytest.param(check, id=str(check), marks=[pytest.mark.slow] if check.name in SLOW else [])
    for cls in CLASSES
    for check in checks_of(cls)
]


@pytest.mark.parametrize("check", CHECKS)
def test_built_in(check: testing.Check) -> None:
    check()


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls.name in QUICK], ids=lambda cls: cls.name)
def test_built_in_declaration(cls: Any) -> None:
    for check in testing.declaration_checks(cls):
        check()


@pytest.mark.parametrize(
    "cls",
    [cls for cls in CLASSES if issubclass(cls, benchkit.Dataset) and cls.name not in DRAWN],
    ids=lambda cls: cls.name,
)
def test_datasets_say_what_is_missing(cls: Any, tmp_path: Path) -> None:
    check_missing_files(cls())
    with pytest.raises(benchkit.DataError):
        cls().load(benchkit.Source(tmp_path))


def test_every_entry_point_offers_a_component_of_its_name() -> None:
    components = {point.name for point in POINTS if ".observers." not in point.value}
    assert components <= {cls.name for cls in CLASSES}


def test_quick_parameters_belong_to_plugins_there_are() -> None:
    assert set(QUICK) | DRAWN | FROM_FILES <= {cls.name for cls in CLASSES}


def variants() -> Iterator[Any]:
    """Yield each attack with each value of a parameter that has a few, all others as above; no image has a mapping."""
    for cls in CLASSES:
        if not issubclass(cls, benchkit.Attack) or cls.name in FROM_FILES:
            continue
        usual = build(cls, QUICK.get(cls.name, {}))
        for name, (kind, _, meta) in fields_of(cls).items():
            for value in meta.choices or ((True, False) if kind is bool else ()):
                if name != "mapping" and value != getattr(usual, name):
                    yield pytest.param(replace(usual, **{name: value}), id=f"{cls.name}-{name}={value}")


@pytest.mark.parametrize("attack", list(variants()))
def test_every_choice_of_an_attack_takes_any_number_of_images(attack: benchkit.Attack) -> None:
    check_stamp_any_count(attack)
    check_control_any_count(attack)
