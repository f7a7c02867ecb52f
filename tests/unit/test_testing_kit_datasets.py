"""The conformance kit for datasets: each check catches one that breaks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from kit_plugins import COUNTER, Case, Dots, broken, case_id, dots, expect_refusal

import benchkit
from benchkit import testing


def no_files(self: Any, source: benchkit.Source) -> benchkit.Data:
    raise FileNotFoundError("dots.bin")


def no_data(self: Any, source: benchkit.Source) -> benchkit.Data:
    raise benchkit.DataError("download dots.bin first")


CASES: list[Case] = [
    ("dataset usable-class", lambda: broken(benchkit.Dataset, name="x"), "does not define load"),
    ("dataset name", lambda: broken(Dots, name="DOTS"), "lower case"),
    ("dataset docstring", lambda: broken(Dots, __doc__=""), "has no docstring"),
    ("dataset parameters", lambda: broken(Dots, size=benchkit.param(9, "side", le=1)), "own bounds"),
    ("dataset spec-round-trip", lambda: broken(Dots, __str__=lambda self: "dots,dots"), "several"),
    ("dataset missing-files", lambda: broken(Dots, load=no_files), "FileNotFoundError"),
    ("dataset splits", lambda: broken(Dots, load=lambda self, source: dots(dtype=torch.int32)), "uint8"),
    ("dataset splits", lambda: broken(Dots, load=lambda self, source: dots(labels=3)), "outside 0..1"),
    ("dataset splits", lambda: broken(Dots, load=no_data), "source="),
    ("dataset classes", lambda: broken(Dots, load=lambda self, source: dots(labels=1)), r"classes \[1\]"),
    (
        "dataset classes",
        lambda: broken(Dots, load=lambda self, source: replace(dots(), classes=("a", "a"))),
        "distinct",
    ),
    (
        "dataset load-repeats",
        lambda: broken(Dots, load=lambda self, source: dots(seed=next(COUNTER))),
        "differs between two calls",
    ),
    (
        "dataset fingerprint",
        lambda: broken(Dots, fingerprint=lambda self, source: str(next(COUNTER))),
        "only when the files do",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_each_check_catches_a_broken_plugin(case: Case) -> None:
    expect_refusal(case)


def test_no_check_is_without_a_plugin_that_fails_it() -> None:
    assert {f"dataset {check.name}" for check in testing.checks(Dots)} == {which for which, _, _ in CASES}
