"""The embedded dataset: its bytes, its balance and its spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchkit_plugins.datasets.scenes import scenes
from scipy.fft import dctn

from benchkit import Data, DataError, Source


@pytest.fixture(scope="module")
def rendered() -> Data:
    return scenes.Scenes().load(Source(Path("unused")))


def test_scenes_has_balanced_uint8_splits_with_names(rendered: Data) -> None:
    assert rendered.train.images.shape == (5000, 3, 32, 32)
    assert rendered.test.images.shape == (1500, 3, 32, 32)
    assert rendered.train.images.dtype == torch.uint8
    assert rendered.train.labels.dtype == torch.int64
    assert rendered.train.labels.bincount().tolist() == [500] * 10
    assert rendered.test.labels.bincount().tolist() == [150] * 10
    assert len(set(rendered.classes)) == 10
    assert rendered.classes[0] == "disc"


def test_scenes_bytes_match_the_published_hash(rendered: Data) -> None:
    assert scenes.digest(rendered) == scenes.SHA256
    assert scenes.Scenes().fingerprint(Source(Path("unused"))) == scenes.SHA256


def test_scenes_refuses_other_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "TRAIN_PER_CLASS", 20)
    with pytest.raises(DataError, match="on this machine"):
        scenes.Scenes().load(Source(Path("unused")))


def test_scenes_has_no_image_twice(rendered: Data) -> None:
    everything = torch.cat([rendered.train.images, rendered.test.images]).flatten(1)
    assert len({row.tobytes() for row in everything.numpy()}) == 6500


def test_scenes_has_the_spectrum_of_natural_images(rendered: Data) -> None:
    spectrum = dctn(rendered.test.images.numpy().astype(float), axes=(2, 3), norm="ortho")
    u, v = np.mgrid[:32, :32]
    radius, f = np.rint(np.hypot(u, v)), np.arange(1, 24)
    power = (spectrum**2).mean((0, 1))
    slope = np.polyfit(np.log10(f), np.log10([power[radius == ring].mean() for ring in f]), 1)[0]
    assert abs(slope + 2.5) < 0.6
    floor = np.abs(spectrum).mean((0, 1))
    assert floor[24, 24] == pytest.approx(3.3, rel=0.4)
    assert floor[31, 31] == pytest.approx(1.3, rel=0.3)
