"""The numbers that a figure of spectra shows, and what it refuses to draw."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from matplotlib.figure import Figure

from benchkit.ops.frequency import channel_spectra, dct2
from benchkit.report.figures.spectra import PRESETS, Panel, PlotError, detail, limits, overview, require, save, values


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(256, (20, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def panel(name: str, images: torch.Tensor) -> Panel:
    stamped = images.clone()
    if name != "clean":
        stamped[..., -2:, -2:] = 255
    change = dct2(stamped[0].float() - images[0].float()).abs()
    return Panel(name, channel_spectra(stamped), images[0], stamped[0], change)


def drawn(figure: Figure) -> list[np.ndarray]:
    """Return the arrays of every picture in a figure."""
    return [np.asarray(one.get_array()) for axes in figure.axes for one in axes.images]


def test_values_are_those_of_a_direct_computation(images: torch.Tensor) -> None:
    magnitude = np.abs(scipy.fft.dctn(images.numpy().astype(np.float64), axes=(-2, -1), norm="ortho")).mean(0)
    spectra = channel_spectra(images)
    for name, expected in (
        ("log", np.log(magnitude + 1e-12).mean(0)),
        ("paper-small", magnitude.mean(0)),
        ("paper-large", np.log(magnitude + 1e-12).mean(0)),
    ):
        np.testing.assert_allclose(values(spectra, PRESETS[name]).numpy(), expected, rtol=1e-4)


def test_an_overview_shows_every_panel_on_one_scale(images: torch.Tensor) -> None:
    panels = [panel("clean", images), panel("corner", images)]
    figure = overview(panels, PRESETS["log"], "a title")
    for shown, one in zip(drawn(figure), panels, strict=False):
        np.testing.assert_allclose(shown, values(one.spectra, PRESETS["log"]).numpy())
    scales = {one.get_clim() for axes in figure.axes[:2] for one in axes.images}
    both = torch.stack([values(one.spectra, PRESETS["log"]) for one in panels])
    assert scales == {(float(both.min()), float(both.max()))}
    assert [axes.get_title() for axes in figure.axes[:2]] == ["clean", "corner"]


def test_a_detail_shows_change_spectrum_example_and_mean(images: torch.Tensor) -> None:
    one = panel("corner", images)
    change, spectrum, example, mean = drawn(detail([one], PRESETS["paper-small"], "a title"))[:4]
    difference = one.stamped.numpy().astype(np.float64) - one.clean.numpy()
    np.testing.assert_allclose(change, (difference / 510 + 0.5).transpose(1, 2, 0), atol=1e-6)
    direct = np.abs(scipy.fft.dctn(difference, axes=(-2, -1), norm="ortho")).mean(0)
    np.testing.assert_allclose(spectrum, direct, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(example, one.stamped.numpy().transpose(1, 2, 0) / 255, atol=1e-6)
    np.testing.assert_allclose(mean, one.spectra.mean(0).numpy(), rtol=1e-6)


@pytest.mark.parametrize(("name", "ends"), [("paper-small", (0, 4500)), ("paper-large", (1.5, 4.5))])
def test_the_papers_scales_do_not_depend_on_the_images(
    images: torch.Tensor, name: str, ends: tuple[float, float]
) -> None:
    assert limits([panel("clean", images)], PRESETS[name]) == ends


def test_flat_images_do_not_stretch_the_scale() -> None:
    flat = torch.full((3, 3, 8, 8), 100, dtype=torch.uint8)
    low, high = limits([panel("clean", flat)], PRESETS["log"])
    assert low == pytest.approx(np.log(0.1))
    assert high == pytest.approx(np.log(800), abs=1e-4)


@pytest.mark.parametrize(("ending", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_ending_names_the_format_and_grey_images_work(tmp_path: Path, ending: str, head: bytes) -> None:
    grey = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    path = tmp_path / f"figure{ending}"
    require(path)
    save(detail([panel("clean", grey), panel("corner", grey)], PRESETS["log"], "grey"), path)
    assert path.read_bytes().startswith(head)
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotError, match=r"pip install 'benchkit\[plot\]'"):
        require(tmp_path / "figure.png")
