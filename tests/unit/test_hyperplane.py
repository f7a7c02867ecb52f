"""benchmarks/experiments/hyperplane.py: run as people run it, at sizes that take seconds, and its distances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from table_rows import csv_rows
from torch import Tensor, nn

import benchkit

Script = Callable[..., Any]
Load = Callable[[str], ModuleType]
HYPER = ("hyperplane.py", "--recipe", "fast:epochs=1,batch=16", "--rounds", 1)


@pytest.mark.slow
def test_hyperplane_measures_each_trigger_in_both_detectors(script: Script, two_tints: Path, tmp_path: Path) -> None:
    ran = script(*HYPER, "--dataset", f"image-folder:root={two_tints},size=16")
    assert ran.code == 0, ran.err
    rows = csv_rows(tmp_path / "hyperplane.csv")
    assert len(rows) == 2 * (3 + 7)
    for name in ("raw", "upgraded"):
        mine = {row["trigger"]: row for row in rows if row["detector"] == name}
        assert {row["space"] for row in mine.values()} == {"features"}
        assert float(mine["smooth"]["beyond_smooth"]) == 0
        assert float(mine["(clean images)"]["auroc"]) == 0.5
        rivals = {key: row for key, row in mine.items() if key.startswith("filtered")}
        assert len(rivals) == 7
        distances = [float(row["distance"]) for row in rivals.values()]
        assert len(set(distances)) == 7
        closest = float(mine["smooth"]["distance"]) < min(distances)
        assert f"{name} detector: smooth is {'' if closest else 'not '}closest" in ran.out


class Corner(benchkit.InputDetector):
    """A last layer whose input is two pixels, and whose clean class has the weights (3, 4)."""

    name = "corner-detector"

    def score(self, images: Tensor, scene: benchkit.Scene) -> Tensor:
        layer = nn.Linear(2, 2)
        layer.weight.data = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
        layer.bias.data.zero_()
        with torch.no_grad():
            answers = [layer(part[:, 0, 0, :2].float()) for part in images.split(2)]
        both = torch.cat(answers)
        return both[:, 1] - both[:, 0]


def pixels(*pairs: tuple[int, int]) -> Tensor:
    images = torch.zeros(len(pairs), 3, 2, 2, dtype=torch.uint8)
    images[:, 0, 0] = torch.tensor(pairs, dtype=torch.uint8)
    return images


@pytest.fixture
def nowhere() -> benchkit.Scene:
    split = benchkit.Split(pixels((0, 0)), torch.zeros(1, dtype=torch.int64))
    return benchkit.Scene(2, (3, 2, 2), torch.device("cpu"), split, torch.Generator())


def measured(load_experiment: Load, scene: benchkit.Scene, logits: bool) -> dict[str, dict[str, Any]]:
    # (3, 5) is the clean image whose features are nearest to (3, 4); stamped ones lie 5 and 10, or 13 and 13, away.
    stamped = {
        "(clean images)": pixels((0, 0), (3, 5), (90, 20)),
        "smooth": pixels((0, 1), (3, 15), (3, 5)),
        "filtered:variant=0": pixels((8, 17), (3, 18), (3, 5)),
    }
    rows = load_experiment("hyperplane").measured(Corner(), scene, stamped, logits)
    return {row["trigger"]: row for row in rows}


def test_distances_are_those_of_features_to_the_representative_image(
    load_experiment: Load, nowhere: benchkit.Scene
) -> None:
    rows = measured(load_experiment, nowhere, logits=False)
    assert rows["smooth"]["distance"] == pytest.approx((5 + 10 + 0) / 3)
    filtered = rows["filtered:variant=0"]
    assert filtered["distance"] == pytest.approx((13 + 13 + 0) / 3)
    assert filtered["beyond_smooth"] == pytest.approx((8 + 3 + 0) / 3)
    # differences 8, 3, 0: their deviation is 4.0415
    assert filtered["error"] == pytest.approx(4.0415 / 3**0.5, abs=1e-4)


def test_distances_between_logits_start_at_the_mean_clean_one(load_experiment: Load, nowhere: benchkit.Scene) -> None:
    # Clean logits: (0, 0), (29, 5), (350, 20); their mean is (126.3, 8.3), nearest to (29, 5).
    rows = measured(load_experiment, nowhere, logits=True)
    wanted = [((4 - 29) ** 2 + (1 - 5) ** 2) ** 0.5, ((69 - 29) ** 2 + (15 - 5) ** 2) ** 0.5, 0]
    assert rows["smooth"]["distance"] == pytest.approx(sum(wanted) / 3)
