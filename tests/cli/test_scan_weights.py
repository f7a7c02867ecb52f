"""benchkit scan model: the forms weights come in, and files that are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_types import Cli
from scanned_models import verdicts


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_plain_state_dict_gets_the_clean_images_normalisation_and_that_is_said(
    scan_model: Cli, plain_weights: dict[str, Any], prefix: str
) -> None:
    state = {prefix + name: value for name, value in plain_weights.items()}
    ran = scan_model(state, "--format", "json", defense="normal,place")
    assert ran.code == 0, ran.err
    assert verdicts(ran)["place"]["score"] == 2.5
    assert 0.25 < verdicts(ran)["normal"]["score"] < 0.4
    assert "mean and standard deviation of toy are used" in ran.err


def test_counters_of_old_checkpoints_may_lack_and_halves_are_numbers(
    scan_model: Cli, plain_weights: dict[str, Any]
) -> None:
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in plain_weights.items()
        if "num_batches" not in name
    }
    assert scan_model(state).code == 0


def without(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {one: value for one, value in state.items() if one != name}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: without(s, "head.weight"), "missing: head.weight"),
        (lambda s: s | {"more\x1b[31m": torch.zeros(1)}, "unknown: more\\x1b[31m"),
        (lambda s: s | {"head.weight": torch.zeros(9, 3)}, "of another shape: head.weight 9x3 instead of 4x"),
        (lambda s: s | {"head.bias": torch.zeros(4, dtype=torch.int8)}, "not floating point: head.bias"),
        (lambda s: s | {"head.bias": torch.full((4,), float("nan"))}, "NaN or infinite: head.bias"),
        (lambda s: {}, "and "),
        (lambda s: {f"net.{name}": one for name, one in s.items()} | {"mean": torch.zeros(3), "std": torch.zeros(3)},
         "std above 0"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_one_sentence_that_lists_why(
    scan_model: Cli, plain_weights: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]], words: str
) -> None:
    ran = scan_model(change(plain_weights))
    assert ran.code == 2
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert words in line
    assert "prepare" not in ran.err
    assert "Traceback" not in ran.err


def test_a_pickled_checkpoint_is_read_only_when_asked_for_by_name(
    scan_model: Cli, plain_weights: dict[str, Any], tmp_path: Path
) -> None:
    for number, held in enumerate((plain_weights, {"epoch": 3, "state_dict": plain_weights}, {"model": plain_weights})):
        file = tmp_path / f"{number}.pth"
        torch.save(held, file)
        ran = scan_model(file)
        assert ran.code == 2
        assert "add --pickled-checkpoint" in ran.err
        asked = scan_model(file, "--pickled-checkpoint", "--format", "json")
        assert asked.code == 0, asked.err
        assert verdicts(asked)["place"]["score"] == 2.5


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_calls_something_is_refused_unrun(
    scan_model: Cli, plain_weights: dict[str, Any], tmp_path: Path
) -> None:
    torch.save({**plain_weights, "more": Touch(tmp_path / "ran")}, tmp_path / "evil.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "noise.pth").write_bytes(b"\x80\x02garbage")
    (tmp_path / "empty.pth").touch()
    damaged = "is damaged, or it holds other things than tensors"
    for name, words in (("evil", damaged), ("list", "no state dict"), ("noise", damaged), ("empty", damaged)):
        ran = scan_model(tmp_path / f"{name}.pth", "--pickled-checkpoint")
        assert ran.code == 2
        assert words in ran.err
        assert "Traceback" not in ran.err
        assert "weights_only" not in ran.err  # torch's own text advises to switch the guard off
    assert not (tmp_path / "ran").exists()
