"""The Python blocks of the plugin tutorial are complete modules that work and conform."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import benchkit
from benchkit import testing
from benchkit.contracts import hookspecs
from benchkit.testing.defenses import ACTS
from benchkit.testing.world import world

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
KINDS = (benchkit.Attack, benchkit.Defense, benchkit.Dataset)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ModuleType]]:
    """Each block, imported as a file of its own."""
    folder = tmp_path_factory.mktemp("docs")
    found = []
    for number, block in enumerate(BLOCKS):
        path = folder / f"tutorial_block_{number}.py"
        path.write_text(block, encoding="utf-8")
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[path.stem] = module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module)
    yield found
    for module in found:
        del sys.modules[module.__name__]


def offered(module: ModuleType) -> list[Any]:
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    return [value for value in own if isinstance(value, type) and issubclass(value, KINDS)]


@pytest.mark.slow
def test_every_class_in_the_tutorial_conforms(modules: list[ModuleType]) -> None:
    classes = [cls for module in modules for cls in offered(module)]
    assert len(classes) >= 6
    for cls in classes:
        for check in testing.checks(cls):
            check()


def test_hooks_offer_what_their_block_defines(modules: list[ModuleType]) -> None:
    for module in modules:
        hooks = [getattr(module, f"benchkit_{kind}", None) for kind in ("attacks", "defenses", "datasets")]
        listed = [cls for hook in hooks if hook for cls in hook()]
        assert listed in ([], offered(module))


def test_every_hook_is_shown_with_its_arguments(modules: list[ModuleType]) -> None:
    specs = [name for name in vars(hookspecs) if name.startswith("benchkit_")]
    for name in specs:
        shown = [getattr(module, name) for module in modules if hasattr(module, name)]
        assert shown, f"docs/writing-a-plugin.md has no example of {name}"
        for function in shown:
            wanted = list(inspect.signature(getattr(hookspecs, name)).parameters)
            assert list(inspect.signature(function).parameters) == wanted


def test_every_kind_of_defense_is_in_the_table() -> None:
    for kind in ACTS:
        assert f"| `{kind.__name__}` |" in PAGE


def test_the_detector_that_fits_its_victim_finds_the_trigger_of_the_toy_world(modules: list[ModuleType]) -> None:
    (module,) = [module for module in modules if hasattr(module, "Gram")]
    where, detector = world(3, 16), module.Gram()
    test = where.data.test
    other = test.images[test.labels != 0]
    clean, triggered = (detector.score(some, where.defending(detector)) for some in (other, where.triggered(other)))
    assert (triggered > clean.max()).float().mean() > 0.9


def test_the_tests_of_the_tutorial_pass(modules: list[ModuleType]) -> None:
    """Those without arguments, and those that are called with numbers."""
    tests = [one for module in modules for name, one in vars(module).items() if name.startswith("test_it_")]
    assert len(tests) == 3
    for test in tests:
        for value in test.pytestmark[0].args[1] if hasattr(test, "pytestmark") else [None]:
            test(*([] if value is None else [value]))


def test_first_attack_is_as_short_as_it_says() -> None:
    code = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(code) <= 15


def test_model_block_builds_its_own_name_only(modules: list[ModuleType]) -> None:
    (module,) = [module for module in modules if hasattr(module, "benchkit_model")]
    net = module.benchkit_model("two-layers", 5, 3, 12, 16)
    assert net(torch.zeros(2, 3, 12, 16)).shape == (2, 5)
    assert module.benchkit_model("resnet18", 5, 3, 12, 16) is None


def test_observer_block_logs_a_record(modules: list[ModuleType], caplog: pytest.LogCaptureFixture) -> None:
    (module,) = [module for module in modules if hasattr(module, "benchkit_cell_finished")]
    with caplog.at_level(logging.INFO, "cells"):
        module.benchkit_cell_finished({"attack": "stripe", "defense": "none", "status": "ok", "metrics": {"asr": 1.0}})
    assert caplog.messages == ["stripe x none: ok {'asr': 1.0}"]
