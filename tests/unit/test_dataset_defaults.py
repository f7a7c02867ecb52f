"""The network and the recipe that a dataset declares, and where they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchkit.execute.resolve import CPU_DEFAULTS, GPU_DEFAULTS, request
from benchkit.plan.steps import Plan
from benchkit.spec.suite import SUITE_KEYS

PLUGIN = '''
from dataclasses import dataclass

import torch

import benchkit


@dataclass(frozen=True)
class Plain(benchkit.Dataset):
    """Two grey images a class."""

    name = "plain"

    def load(self, source):
        images = torch.arange(4).view(4, 1, 1, 1).expand(4, 3, 32, 32).to(torch.uint8)
        split = benchkit.Split(images, torch.arange(4) % 2)
        return benchkit.Data(split, split, ("even", "odd"))


@dataclass(frozen=True)
class Own(Plain):
    """The same, with a network and a recipe of its own."""

    name = "own"
    cpu_model = "mntd_cnn"
    cpu_recipe = "mntd:epochs=3"


@dataclass(frozen=True)
class OnlyNet(Plain):
    """The same, with a network of its own alone, whose mirror images are of another class."""

    name = "only-net"
    cpu_model = "mntd_cnn"
    mirror: bool = benchkit.param(False, "no")


@benchkit.hookimpl
def benchkit_datasets():
    return [Plain, Own, OnlyNet]
'''


def planned(folder: Path, datasets: str | None, device: str = "cpu", suite: Path | None = None, **given: str) -> Plan:
    plugin = folder / "sets.py"
    plugin.write_text(PLUGIN)
    options: dict[str, Any] = dict.fromkeys(SUITE_KEYS) | {"attacks": "none", "datasets": datasets} | given
    rest = {"suite": suite, "plugins": (str(plugin),), "device": device, "elsewhere": True}
    return request({**options, **rest, "data_root": None, "download": False, "results": folder / "r"}).plan


def trained(plan: Plan) -> list[tuple[str, str, str]]:
    return [(step.job.dataset, step.job.model, step.job.recipe) for step in plan.of("train")]


def test_where_nothing_is_named_each_dataset_has_its_own(tmp_path: Path) -> None:
    usual = (CPU_DEFAULTS["models"], CPU_DEFAULTS["recipe"])
    assert trained(planned(tmp_path, "plain,own,only-net")) == [
        ("plain", *usual),
        ("own", "mntd_cnn", "mntd:epochs=3"),
        ("only-net", "mntd_cnn", "fast:flip=false"),
    ]


def test_a_dataset_means_the_same_alone_and_in_company(tmp_path: Path) -> None:
    alone, together = planned(tmp_path, "own"), planned(tmp_path, "plain,own")
    assert set(alone.steps) < set(together.steps)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"models": "narrownet"}, ("narrownet", "fast")),
        ({"recipe": "standard"}, ("mntd_cnn", "standard")),
        ({"models": "narrownet", "recipe": "standard"}, ("narrownet", "standard")),
    ],
)
def test_what_the_user_names_holds(given: dict[str, Any], wanted: tuple[str, str], tmp_path: Path) -> None:
    assert trained(planned(tmp_path, "own", **given)) == [("own", *wanted)]


def test_a_suite_names_things_as_options_do(tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text('datasets = "own"\nmodels = "narrownet"\n')
    assert trained(planned(tmp_path, None, suite=suite)) == [("own", "narrownet", "fast")]


def test_on_a_gpu_it_is_not_read(tmp_path: Path) -> None:
    assert trained(planned(tmp_path, "own", device="cuda")) == [
        ("own", GPU_DEFAULTS["models"], GPU_DEFAULTS["recipe"]),
    ]
