"""benchkit scan model and the normalisation and size that a model was trained with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from fixture_types import Cli, Ran
from safetensors.torch import save_file
from sample_pictures import save_even
from scanned_models import TOY, verdicts

from benchkit.models.classifier import Classifier
from benchkit.spec.registry import load

TINY = "test_resnet"
"""A network of timm whose data config is that of 160-pixel images, with mean and std of 0.5."""


@pytest.fixture
def scan_timm(benchkit_cli: Cli, scan_model: Cli, tmp_path: Path) -> Callable[..., Ran]:
    """Return a function that scans a timm model which knows the toy images after this normalisation."""

    def run(mean: float, std: float, *args: object, clean: str = "toy") -> Ran:
        file = tmp_path / "timm.safetensors"
        save_file(knowing(mean, std), file)
        fixed = ["--model", TINY, "--clean", clean, "--defense", "normal", "--device", "cpu", "--jobs", 1]
        plugins = ["-p", TOY, "-p", tmp_path / "place_plugin.py"]
        return benchkit_cli("scan", "model", file, *fixed, *plugins, "--results", tmp_path / "r", *args)

    return run


def knowing(mean: float, std: float) -> dict[str, Any]:
    """Return the state dict of a timm model with a head that is solved for on the toy images, normalised this way."""
    torch.manual_seed(0)
    net = timm.create_model(TINY, num_classes=4)
    model = Classifier(net, torch.full((3,), mean), torch.full((3,), std))
    toy = load([str(TOY)]).get("datasets", "toy")().load(None).train
    known = torch.cat([model.features(toy.images), torch.ones(len(toy), 1)], 1)
    solved = torch.linalg.lstsq(known, torch.nn.functional.one_hot(toy.labels, 4).float()).solution
    with torch.no_grad():
        model.head.weight.copy_(solved[:-1].T)
        model.head.bias.copy_(solved[-1])
    return {name: value.contiguous() for name, value in model.net.state_dict().items()}


def test_timms_own_data_config_is_the_default_of_a_timm_model_and_is_said(scan_timm: Callable[..., Ran]) -> None:
    ran = scan_timm(0.5, 0.5, "--format", "json")
    assert ran.code == 0, ran.err
    assert verdicts(ran)["normal"]["score"] == 0.5, "the mean of the model's normalisation"
    assert (
        f"the weights contain no normalisation: those of timm's data config of {TINY} (mean 0.5, 0.5, 0.5, std 0.5, "
        "0.5, 0.5) are used"
    ) in ran.err
    assert "are used, and every score is wrong if the model was trained with others; --mean and --std name" in ran.err


def test_what_the_user_names_is_used_without_a_warning(scan_timm: Callable[..., Ran]) -> None:
    ran = scan_timm(0.25, 1.0, "--mean", "0.25,0.25,0.25", "--std", "1,1,1", "--format", "json")
    assert ran.code == 0, ran.err
    assert verdicts(ran)["normal"]["score"] == 0.25
    assert "normalisation" not in ran.err


def test_the_size_of_a_timm_model_is_that_of_its_data_config(scan_timm: Callable[..., Ran], tmp_path: Path) -> None:
    for name, level in (("a", 10), ("b", 200)):
        for number in range(3):
            save_even(tmp_path / "set" / name / f"{number}.png", level + number)
    clean = f"image-folder:root={tmp_path / 'set'}"
    ran = scan_timm(0.5, 0.5, clean=clean)
    assert ran.code == 2
    assert "for 2 classes of 3x160x160 images, as in image-folder" in ran.err
    assert "2 classes of 3x24x24 images" in scan_timm(0.5, 0.5, "--size", "24", clean=clean).err
    assert "2 classes of 3x48x48 images" in scan_timm(0.5, 0.5, clean=f"{clean},size=48").err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--mean", "0.5,0.5,0.5"], "--mean and --std belong together"),
        (["--mean", "0.5,x", "--std", "1,1"], "--mean must be numbers such as 0.485,0.456,0.406, got '0.5,x'"),
        (["--mean", "nan", "--std", "1"], "--mean must be numbers"),
        (["--mean", "0.5,0.5", "--std", "1"], "--mean has 2 numbers and --std 1"),
        (["--mean", "0.5,0.5,0.5", "--std", "1,0,1"], "--std must be above 0"),
        (["--mean", "123,117,104", "--std", "58,57,57"], "divide those of pixels from 0 to 255 by 255"),
        (["--mean", "0.5", "--std", "0.5"], "--mean and --std must be 3 numbers for these images, got 1"),
        (["--mean", "0,0,0", "--std", "1,1,1"], "contain their own normalisation: leave --mean and --std out"),
        (["--size", "24"], "toy has images of one size: leave --size out"),
        (["--size", "24x30"], "--size must be one number or those of a square"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(
    scan_model: Cli, our_weights: dict[str, Any], args: list[str], words: str
) -> None:
    ran = scan_model(our_weights, *args, "--quiet")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
