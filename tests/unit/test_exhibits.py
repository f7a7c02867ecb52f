"""What cells show beside their numbers: curves that agree with the metrics, pictures that agree with the images."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.integrate import trapezoid
from sklearn.metrics import roc_auc_score

from benchkit.measure.evidence import BINS, LARGEST, curves, gallery


def normal(count: int, mean: float, seed: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed)) + mean


def test_the_area_under_the_curve_is_the_auroc() -> None:
    clean, triggered = normal(2000, 0, 1), normal(2000, 1.5, 2)
    roc = curves(clean, triggered, clean)["roc"]
    area = trapezoid(roc["tpr"], roc["fpr"])
    truth = np.r_[np.zeros(2000), np.ones(2000)]
    assert area == pytest.approx(roc_auc_score(truth, torch.cat([clean, triggered]).numpy()), abs=0.003)
    assert roc["tpr"] == sorted(roc["tpr"])


def test_a_curve_is_fine_where_false_alarms_are_few() -> None:
    clean, triggered = normal(5000, 0, 1), normal(5000, 3, 2)
    roc = curves(clean, triggered, clean)["roc"]
    assert min(value for value in roc["fpr"] if value) == pytest.approx(1 / 5000)
    rate = next(value for value in roc["fpr"] if 0.0008 < value < 0.0012)
    expected = (triggered >= clean.quantile(1 - rate)).float().mean().item()
    assert roc["tpr"][roc["fpr"].index(rate)] == pytest.approx(expected, abs=0.02)
    assert len(curves(clean[:50], triggered, clean)["roc"]["fpr"]) == 101


def test_histograms_hold_every_score() -> None:
    clean, triggered, control = normal(500, 0, 1), normal(400, 9, 2), normal(300, 1, 3)
    shown = curves(clean, triggered, control)["scores"]
    assert len(shown["edges"]) == BINS + 1
    for name in ("clean", "triggered", "control"):
        assert sum(shown[name]) == pytest.approx(1, abs=0.01)
    middle = shown["edges"][BINS // 2]
    assert sum(shown["triggered"][: BINS // 2]) == pytest.approx((triggered < middle).float().mean().item(), abs=0.02)


def test_curves_of_one_and_the_same_score_are_json() -> None:
    same = torch.full((20,), 0.5)
    assert json.loads(json.dumps(curves(same, same, same), allow_nan=False))["roc"]["tpr"][-1] == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_the_gallery_shows_the_images_and_their_difference(channels: int) -> None:
    clean = torch.randint(60, 150, (channels, 20, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    stamped = clean.clone()
    stamped[:, -1, -1] += 20
    pixels = {}
    for name, uri in gallery(clean, stamped).items():
        data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
        pixels[name] = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(pixels["clean"].reshape(20, 24, channels), clean.permute(1, 2, 0).numpy())
    assert np.array_equal(pixels["stamped"].reshape(20, 24, channels), stamped.permute(1, 2, 0).numpy())
    assert (pixels["difference x5"][-1, -1] == round(127.5 + 100)).all()
    assert pixels["spectrum of the change"].shape == (20, 24)


def test_large_images_are_shrunk() -> None:
    big = torch.zeros(3, 224, 224, dtype=torch.uint8)
    for uri in gallery(big, big + 9).values():
        image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        assert max(image.size) == LARGEST
