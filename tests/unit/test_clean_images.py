"""Who holds clean images, who does not, and that everything that is told of a defense says which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch
from kit_plugins import Audit, Blackout, Brightness, Plain, Retouch, Sieve
from report_records import cells, drawn, record

import benchkit
from benchkit import testing
from benchkit.components.baseline import NoDefense
from benchkit.errors import ContractError
from benchkit.protocol import overlaps
from benchkit.report.formats.html import page_data
from benchkit.spec.registry import load
from benchkit.testing.world import world

NONE = {
    *("abl", "activation-clustering", "bagging", "clp", "cutmix", "cutout", "deep-knn", "dp-loss", "dp-sgd", "dpa"),
    *("influence", "knn-cert", "loss-isolation", "maxup", "mixup", "none", "shrink-pad", "spectral-signatures"),
}
SENTENCE = "derive it from benchkit.CleanImages too"
READER = '''
from dataclasses import dataclass

import torch

import benchkit


@dataclass(frozen=True)
class Reader(benchkit.TrainingFilter):
    """Compares the training set with clean images."""

    name = "reader"

    def suspicion(self, train, scene):
        return train.images.float().mean((1, 2, 3)) - scene.clean.images.float().mean() - 200


@dataclass(frozen=True)
class Holder(benchkit.CleanImages, Reader):
    """Does so, and says so."""

    name = "holder"


@benchkit.hookimpl
def benchkit_defenses():
    return [Reader, Holder]
'''


@dataclass(frozen=True)
class Far(benchkit.TrainingFilter):
    """Rows far from the mean of the clean images go."""

    name = "far"

    def suspicion(self, train: benchkit.Split, scene: benchkit.Scene) -> torch.Tensor:
        distance = (train.images.float() - scene.clean.images.float().mean(0)).flatten(1).norm(dim=1)
        suspicion: torch.Tensor = distance - distance.quantile(0.9)
        return suspicion


@dataclass(frozen=True)
class First(benchkit.CleanImages, Far):
    """Holds clean images."""

    name = "first"


@dataclass(frozen=True)
class Last(Far, benchkit.CleanImages):
    """Holds clean images, with its bases the other way round."""

    name = "last"


@pytest.mark.parametrize("holder", [Brightness, Retouch, Audit, First, Last])
def test_holders_have_the_parameter(holder: type[Any]) -> None:
    assert "clean" in {field.name for field in fields(holder)}
    assert (holder().clean, holder(clean=0.5).clean, str(holder(clean=0.5))) == (0.05, 0.5, f"{holder.name}:clean=0.5")


@pytest.mark.parametrize("other", [Blackout, Sieve, Plain, NoDefense])
def test_the_others_hold_nothing(other: type[benchkit.Defense]) -> None:
    assert "clean" not in other().params()
    assert other.clean == 0 and not overlaps(other.clean)  # noqa: PT018
    scene = world(3, 16).defending(other())
    with pytest.raises(ContractError, match=SENTENCE):
        _ = scene.clean


def test_built_in_defenses_that_use_none_say_so() -> None:
    found = {name: entry.cls().clean for name, entry in load().kind("defenses").items()}
    assert {name for name, share in found.items() if share == 0} == NONE


def test_the_kit_refuses_an_undeclared_reader() -> None:
    def check(cls: type[benchkit.Defense]) -> None:
        next(one for one in testing.checks(cls) if one.name == "declared-needs")()

    with pytest.raises(testing.ConformanceError, match=f"far uses what it may not have.*{SENTENCE}"):
        check(Far)
    for holder in (First, Last):
        check(holder)


def test_the_kit_hands_clean_images_to_who_declares_them() -> None:
    for check in testing.checks(First):
        check()


def test_a_run_hands_out_what_is_declared(toy_run: Callable[..., Any], tmp_path: Path) -> None:
    plugin = tmp_path / "reader.py"
    plugin.write_text(READER)
    ran = toy_run("--attacks", "corner", "--defenses", "reader,holder,shrink-pad", "-p", plugin)
    assert ran.code == 1
    assert SENTENCE in ran.out
    told = {line.split(":")[0]: line for line in ran.out.splitlines() if "clean images" in line and ": " in line}
    assert "holds clean images worth 5 % of the training set" in told["- holder"]
    assert "holds no clean images" in told["- shrink-pad"]


def test_show_says_which(benchkit_cli: Callable[..., Any]) -> None:
    assert "no clean images" in benchkit_cli("show", "abl").out
    assert "clean images worth 5 % of the training set" in benchkit_cli("show", "fine-tuning").out


@pytest.mark.parametrize(
    ("clean", "told", "page"),
    [(0.0, "holds no clean images", []), (0.05, "holds clean images worth 5 % of", ["5 % clean", "labelled"])],
)
def test_reports_say_which(clean: float, told: str, page: list[str]) -> None:
    """Records of earlier versions say 0.05 of every defense, and are told as they are."""
    one = record("badnets", "abl", defense_info={"kind": "robust training", "clean": clean, "overlap": False})
    assert f"- abl: robust training; {told}" in drawn([one])
    data = page_data(cells([one]))
    assert data["components"][data["cells"][0]["parts"][1]]["badges"] == page


@dataclass(frozen=True)
class Bare(benchkit.InputDetector):
    """Reads clean images, and their labels where it is told to."""

    name = "bare"
    labelled = False
    reads: str = benchkit.param("images", "what it reads", choices=("images", "labels", "part"))

    def score(self, images: torch.Tensor, scene: benchkit.Scene) -> torch.Tensor:
        clean = scene.clean[:5].to("cpu") if self.reads == "part" else scene.clean
        assert len(clean) == len(clean.images)
        return images.float().mean((1, 2, 3)) + (0 if self.reads == "images" else int(clean.labels[0]))


def test_images_without_labels_have_none() -> None:
    for check in testing.checks(Bare):
        check()
    for wrong in (Bare(reads="labels"), Bare(reads="part")):
        (check,) = [one for one in testing.checks(wrong) if one.name == "declared-needs"]
        with pytest.raises(testing.ConformanceError, match="its clean images have no labels"):
            check()


def test_everybody_is_told_that_labels_are_not_needed(benchkit_cli: Callable[..., Any]) -> None:
    assert "worth 5 % of the training set, without labels" in benchkit_cli("show", "strip").out
    assert "without labels" not in benchkit_cli("show", "fine-tuning").out
    info = {"kind": "input detector", "clean": 0.05, "labelled": False, "needs": ["logits"]}
    told = "holds clean images worth 5 % of the training set, without labels; needs the victim's logits"
    assert told in drawn([record("badnets", "strip", defense_info=info)])


def test_a_run_hands_out_images_without_labels(toy_run: Callable[..., Any], cell: Callable[..., Any]) -> None:
    ran = toy_run("--attacks", "corner", "--defenses", "strip:overlays=2,fine-tuning:epochs=1.0")
    assert ran.code == 0, ran.err
    assert cell("corner", "strip:overlays=2")["defense_info"]["labelled"] is False
    assert "labelled" not in cell("corner", "fine-tuning:epochs=1.0")["defense_info"]
