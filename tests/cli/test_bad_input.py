"""Whatever a user gets wrong: one sentence that says what to do, the right exit code, nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from fixture_types import Cli, RecordsIn

TOY = Path(__file__).parents[1] / "toy.py"
WANTED = ("--attacks", "badnets", "--defenses", "freq-detector")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--attacks", "badnet"], "did you mean 'badnets'"),
        (["--attacks", "badnets:sise=3"], "did you mean 'size'"),
        (["--attacks", "badnets:size=0"], ">= 1"),
        (["--attacks", "badnets,,blend"], "empty name"),
        (["--attacks", "size=3"], "parameter without a component"),
        (["--defenses", "freq-detektor"], "did you mean 'freq-detector'"),
        (["--dataset", "scens"], "did you mean 'scenes'"),
        (["--recipe", "fasst"], "did you mean 'fast'"),
        (["--recipe", "fast:epochs=-1"], ">= 0"),
        (["--seeds", "one"], "seeds must be"),
        (["--poison-rate", "10"], "0.1 poisons ten percent"),
        (["--device", "gpu"], "no device 'gpu'"),
        (["--device", "cuda:\u00b2"], "no device"),
        (["--models", "narrownet:width=8"], "takes no parameters"),
        (["--models", "deit_tiny_distilled_patch16_224"], "are not those of its last linear layer"),
        (["--dataset", "image-folder:root=x,y"], 'quote that: root="x,y"'),
        (["--device", "cuda:1", "--executor", "ray", "--ray-address", "node:6379"], "write --device cuda"),
        (["-p", "absent.py"], "there is no file absent.py"),
        (["absent.toml"], "no suite file absent.toml"),
        (["--dataset", "image-folder:root=/nowhere"], "/nowhere"),
        (["--dataset", "cifar10", "--data-root", "/nowhere"], "--download"),
        (["--jobs", "0"], "--jobs"),
        (["--device", "cpu", "--slots-per-device", "2"], "--jobs"),
        (["--device", "cpu", "--slots-per-device", "auto"], "--jobs"),
        (["--slots-per-device", "0"], "whole number from 1 on"),
        (["--slots-per-device", "-1"], "whole number from 1 on"),
        (["--slots-per-device", "many"], "whole number from 1 on"),
        (["--retries", "-1"], "--retries"),
        *((["--shard", text], "such as 1/4") for text in ("0/4", "5/4", "1", "1/0", "-1/4", "a/b", "1/4/2", "", "²/4")),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_one_sentence_and_exit_code_2(benchkit_cli: Cli, tmp_path: Path, args: list[str], words: str) -> None:
    ran = benchkit_cli("run", *WANTED, *args, "--results", tmp_path / "r")
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "r").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none(benchkit_cli: Cli, tmp_path: Path) -> None:
    ran = benchkit_cli("run", *WANTED, "--device", "cuda", "--results", tmp_path / "r")
    assert ran.code == 2
    assert "--device cpu" in ran.err


def test_asking_for_nothing(benchkit_cli: Cli, tmp_path: Path) -> None:
    assert benchkit_cli("run").code == 2
    ran = benchkit_cli("run", "--attacks", "all,-none,badnets,-badnets", "--no-victims", "--defenses", "none")
    assert ran.code == 3
    assert "nothing to run" in ran.err


def test_a_misspelt_command(benchkit_cli: Cli) -> None:
    ran = benchkit_cli("rnu")
    assert ran.code == 2
    assert "did you mean 'run'" in ran.err


def test_show_and_report_name_what_is_not_there(benchkit_cli: Cli, tmp_path: Path) -> None:
    assert "did you mean 'wanet'" in benchkit_cli("show", "wannet").err
    ran = benchkit_cli("report", "--results", tmp_path / "none")
    assert ran.code == 2
    (tmp_path / "empty").mkdir()
    assert benchkit_cli("report", "--results", tmp_path / "empty").code == 3
    assert benchkit_cli("cache", "ls", "--results", tmp_path / "none").code == 2


def test_a_model_nobody_knows_stops_the_run_at_once(benchkit_cli: Cli, tmp_path: Path) -> None:
    fixed = ("--dataset", "toy", "-p", TOY, "--results", tmp_path / "r")
    ran = benchkit_cli("run", "--attacks", "corner", "--model", "preactresnet81", *fixed)
    assert ran.code == 2
    assert "did you mean 'preactresnet18'" in ran.err
    assert not (tmp_path / "r").exists()


def test_parameters_the_images_do_not_allow_stop_the_run(benchkit_cli: Cli, tmp_path: Path) -> None:
    fixed = ("--dataset", "toy", "-p", TOY, "--results", tmp_path / "r")
    ran = benchkit_cli("run", "--attacks", "corner:target=7", *fixed)
    assert ran.code == 2
    assert "target=7 is not a class: this dataset has 4 (0 to 3)" in ran.err
    ran = benchkit_cli("run", "--attacks", "badnets:size=40", *fixed)
    assert ran.code == 2
    assert "badnets" in ran.err


def test_a_corrupt_image_is_named(benchkit_cli: Cli, tmp_path: Path) -> None:
    from PIL import Image

    for part in ("train", "test"):
        for label in ("cat", "dog"):
            folder = tmp_path / "set" / part / label
            folder.mkdir(parents=True)
            for index in range(3):
                Image.new("RGB", (16, 16), (index * 40, 9, 9)).save(folder / f"{index}.png")
    bad = tmp_path / "set" / "train" / "dog" / "1.png"
    bad.write_bytes(bad.read_bytes()[:40])
    dataset = f"image-folder:root={tmp_path / 'set'},size=16"
    ran = benchkit_cli("run", "--attacks", "badnets", "--dataset", dataset, "--results", tmp_path / "r")
    assert ran.code == 2
    assert str(bad) in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_results_folder_that_may_not_be_written(benchkit_cli: Cli, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ran = benchkit_cli("run", *WANTED, "--results", tmp_path / "r")
    assert ran.code == 2
    assert "you may not write there" in ran.err


def test_a_results_folder_that_is_a_file(benchkit_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r").write_text("x")
    ran = benchkit_cli("run", *WANTED, "--results", tmp_path / "r")
    assert ran.code == 2
    assert "choose another folder with --results" in ran.err


def test_a_rate_that_poisons_nothing_fails_its_cells(toy_run: Cli, records_in: RecordsIn, tmp_path: Path) -> None:
    ran = toy_run("--attacks", "none,corner", "--defenses", "none", "--poison-rate", "0.001")
    assert ran.code == 1
    found = {one["attack"]: one for one in records_in(tmp_path / "results")}
    assert found["none"]["status"] == "ok"
    assert (
        "corner poisoned none of 304 images at a poison rate of 0.001: raise --poison-rate" in found["corner"]["error"]
    )
