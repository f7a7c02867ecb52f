"""benchkit gallery, roc and report --compare, through the real entry point, on records written here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchkit.measure.evidence import curves, gallery


def record(attack: str, defense: str, seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1, "key": "0" * 64, "dataset": "scenes", "model": "narrownet", "recipe": "fast", "attack": attack,
        "defense": defense, "seed": seed, "poison_rate": 0.1, "status": "ok", "metrics": {"asr": 0.5, "auroc": 0.8},
        "attack_info": {"benign": False}, "defense_info": {}, "finished": "2026-11-20T22:10:00Z",
    } | changes  # fmt: skip


def fill(folder: Path, seeds: int = 2, **changes: Any) -> Path:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, 12, 12), dtype=torch.uint8, generator=rng)
    scores = [torch.randn(50, generator=rng) + shift for shift in (0, 1, 0)]
    (folder / "results").mkdir(parents=True)
    for seed in range(seeds):
        for attack in ("badnets", "blend"):
            made = [
                record(attack, "none", seed, gallery=gallery(*images), **changes),
                record(attack, "strip", seed, curves=curves(*scores), **changes),
            ]
            for one in made:
                (folder / f"results/{attack}-{one['defense']}-{seed}.json").write_text(json.dumps(one))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return fill(tmp_path / "made")


@pytest.mark.parametrize("command", ["gallery", "roc"])
@pytest.mark.parametrize(("ending", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_in_each_format(
    benchkit_cli: Any, results: Path, tmp_path: Path, command: str, ending: str, head: bytes
) -> None:
    out = tmp_path / f"figure.{ending}"
    ran = benchkit_cli(command, "--results", results, "--out", out)
    assert (ran.code, ran.out, ran.err) == (0, "", f"wrote {out}\n")
    assert out.read_bytes().startswith(head)


def test_a_choice_makes_a_smaller_figure(benchkit_cli: Any, results: Path, tmp_path: Path) -> None:
    sizes = []
    for number, more in enumerate([[], ["--attacks", "all,-blend", "--seeds", "1"]]):
        out = tmp_path / f"{number}.png"
        assert benchkit_cli("gallery", "--results", results, "--out", out, *more).code == 0
        with Image.open(out) as picture:
            sizes.append(picture.size[0] * picture.size[1])
    assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.parametrize(
    ("command", "file", "part", "value", "words"),
    [
        ("gallery", "badnets-none-0", "gallery", {"clean": "data:image/png;base64,?"}, "its picture 'clean' is no PNG"),
        ("roc", "badnets-strip-0", "curves", {"roc": {"fpr": [0, 1], "tpr": [0]}}, "its ROC curve is not two lists"),
    ],
)
def test_a_damaged_record_is_told_by_its_file_and_left_out(
    benchkit_cli: Any, results: Path, tmp_path: Path, command: str, file: str, part: str, value: object, words: str
) -> None:
    path = results / f"results/{file}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}))
    ran = benchkit_cli(command, "--results", results, "--out", tmp_path / "a.png")
    assert ran.code == 0
    warning, wrote = ran.err.splitlines()
    assert warning.startswith(f"warning: results/{file}.json: {words}")
    assert wrote.startswith("wrote ")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("gallery", "--attacks", "badnet"), 2, "did you mean 'badnets'?"),
        (("roc", "--defenses", "none"), 3, "holds a ROC curve: input detectors such as strip have one"),
        (("roc", "--attacks", "blend,-blend"), 3, "no record matches the whole request"),
        (("gallery", "--results", "nowhere"), 2, "there is no results folder at nowhere"),
        (("gallery", "--out", "a.jpeg"), 2, "name a file that ends in .png, .svg, .pdf"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(
    benchkit_cli: Any, results: Path, tmp_path: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    command, *more = args
    ran = benchkit_cli(command, "--results", results, "--out", tmp_path / "figure.png", *more)
    assert ran.code == code
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not list(tmp_path.glob("figure*"))


def test_records_without_pictures_say_what_to_do(benchkit_cli: Any, results: Path, tmp_path: Path) -> None:
    for path in results.rglob("*-none-*.json"):
        path.unlink()
    ran = benchkit_cli("gallery", "--results", results, "--out", tmp_path / "a.png")
    assert ran.code == 3
    assert "run these attacks with --victims" in ran.err


@pytest.mark.parametrize("command", ["gallery", "roc"])
def test_a_figure_needs_neither_torch_nor_plugins(results: Path, tmp_path: Path, command: str) -> None:
    code = (
        "import sys; from benchkit import cli; code = cli._code(); "
        "print(code, [name for name in sys.modules if name.split('.')[0] in ('torch', 'benchkit_plugins')])"
    )
    args = [sys.executable, "-c", code, command, "--results", str(results), "--out", str(tmp_path / "a.png")]
    done = subprocess.run(args, capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return fill(tmp_path / "three", 3)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return fill(tmp_path / "other", 3, recipe="standard", metrics={"asr": 0.25, "auroc": 0.8})


def test_two_runs_are_compared(benchkit_cli: Any, three: Path, other: Path) -> None:
    ran = benchkit_cli("report", "--compare", three, other, "--metric", "asr")
    assert (ran.code, ran.err) == (0, "")
    (line,) = [line for line in ran.out.splitlines() if line.startswith("| badnets x none ") and "| 3 " in line]
    assert [part.strip() for part in line.split("|")[2:-1]] == [
        "ASR",
        *(f"{n} ± 0.0" for n in ("50.0", "25.0", "-25.0")),
        "better",
        "3",
    ]
    assert "recipe: fast -\\> standard (every cell)" in ran.out
    same = benchkit_cli("report", "--compare", three, three)
    assert "none of them differs" in same.out
    assert "|" not in same.out


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json", "html-table"])
def test_two_runs_in_each_format(benchkit_cli: Any, three: Path, other: Path, tmp_path: Path, form: str) -> None:
    asked = ("report", "--compare", three, other, "--format", form)
    text = benchkit_cli(*asked).out
    assert "badnets" in text
    assert "better" in text
    assert benchkit_cli(*asked, "--out", tmp_path / "table").out == ""
    assert (tmp_path / "table").read_text() == text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--format", "html"), "use html-table with --compare"),
        (("--rows", "model"), "leave out --rows"),
        (("--results", "made", "--cell", "a", "b"), "leave out --results and --cell"),
        (("--metric", "asrr"), "did you mean 'asr'?"),
    ],
)
def test_a_comparison_that_means_nothing(
    benchkit_cli: Any, three: Path, other: Path, more: tuple[str, ...], words: str
) -> None:
    ran = benchkit_cli("report", "--compare", three, other, *more)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_run_that_is_not_there(benchkit_cli: Any, results: Path) -> None:
    ran = benchkit_cli("report", "--compare", results, "nowhere")
    assert ran.code == 2
    assert "nowhere" in ran.err
