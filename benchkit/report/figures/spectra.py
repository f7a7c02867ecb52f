"""Figures of average spectra, after Figures 1 to 3 of Zeng et al., ICCV 2021. matplotlib is the extra ``plot``."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

EXTENSIONS = (".png", ".svg", ".pdf")
DATELESS: dict[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Metadata options that omit the time of drawing, so that the same figure gives the same bytes."""
PANEL = 2.3
"""Side of a panel, inches."""


class PlotError(BenchkitError):
    """A figure cannot be drawn or written."""


@dataclass(frozen=True)
class Preset:
    """The mapping of coefficients to colours.

    Attributes:
        label: the label of the colour bar.
        limits: ends of the colour scale; None for the range of the mean spectra of the figure.
        colours: name of a matplotlib colour map.
        extend: the ends of the scale at which values are clipped: neither, max or both.
        log: take the natural logarithm in each channel, before the mean over channels.
    """

    label: str
    limits: tuple[float, float] | None
    colours: str
    extend: str
    log: bool


PRESETS = {
    "log": Preset("ln of mean |DCT|", None, "viridis", "neither", log=True),
    "paper-small": Preset("mean |DCT|", (0.0, 4500.0), "gist_stern", "max", log=False),
    "paper-large": Preset("ln of mean |DCT|", (1.5, 4.5), "gist_stern", "both", log=True),
}


@dataclass(frozen=True)
class Panel:
    """The part of a figure for one attack.

    Attributes:
        name: the attack.
        spectra: float (C, H, W), each channel's mean of |DCT| over stamped images.
        clean, stamped: uint8 (C, H, W), an example without and with the trigger.
        change: float (C, H, W), |DCT| of what the trigger changed in it.
    """

    name: str
    spectra: Tensor
    clean: Tensor
    stamped: Tensor
    change: Tensor


def require(path: Path) -> None:
    """Before any computation, check that a figure can be written to this file.

    Raises:
        PlotError: if matplotlib is missing, or the folder or the format of the file is not usable.
    """
    if path.suffix.lower() not in EXTENSIONS:
        raise PlotError(f"cannot draw '{path.name}': name a file that ends in {', '.join(EXTENSIONS)}")
    if not path.parent.is_dir():
        raise PlotError(f"there is no folder {path.parent} to write {path.name} to: make it first")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise PlotError("drawing needs matplotlib: pip install 'benchkit[plot]'") from None


def values(spectra: Tensor, preset: Preset) -> Tensor:
    """Return the values of a panel: float (C, H, W) of mean |DCT| -> (H, W) on the preset's scale, not clipped."""
    return (spectra + 1e-12).log().mean(0) if preset.log else spectra.mean(0)


def limits(panels: list[Panel], preset: Preset) -> tuple[float, float]:
    """Return the ends of the colour scale that all panels share."""
    if preset.limits:
        return preset.limits
    shown = [values(panel.spectra, preset) for panel in panels]
    low, high = min(float(one.min()) for one in shown), max(float(one.max()) for one in shown)
    return max(low, math.log(0.1)), high  # constant images have only coefficients from rounding noise


def overview(panels: list[Panel], preset: Preset, title: str) -> Figure:
    """Draw the paper's Figure 1: mean spectra side by side, on one scale."""
    columns = math.ceil(len(panels) / math.ceil(len(panels) / 5))
    rows = math.ceil(len(panels) / columns)
    figure, axes = _grid(rows, columns, title)
    for index, spot in enumerate(axes.flat):
        if index >= len(panels):
            spot.set_axis_off()
            continue
        image = _show(spot, values(panels[index].spectra, preset), preset, limits(panels, preset))
        spot.set_title(panels[index].name, fontsize=10)
    _frequencies(axes, panels)
    _bar(figure, image, axes, preset)
    return figure


def detail(panels: list[Panel], preset: Preset, title: str) -> Figure:
    """Draw the paper's Figures 2 and 3: trigger, its spectrum, stamped image and mean spectrum, one row per attack."""
    figure, axes = _grid(len(panels), 4, title, gap=0.0)
    for row, panel in zip(axes, panels, strict=True):
        change = panel.stamped.float() - panel.clean.float()
        if change.any():
            _picture(row[0], change / 510 + 0.5)
            _show(row[1], values(panel.change, preset), preset, limits(panels, preset))
        else:
            for spot in row[:2]:
                spot.set(frame_on=False, xticks=[], yticks=[], box_aspect=1)
        _picture(row[2], panel.stamped.float() / 255)
        image = _show(row[3], values(panel.spectra, preset), preset, limits(panels, preset))
        row[0].set_ylabel(panel.name, fontsize=10)
    for spot in axes[:-1, 1::2].flat:
        spot.set_xticklabels([])
    heads = ("change (grey: none)", "spectrum of the change", "with the trigger", "mean spectrum")
    for spot, head in zip(axes[0], heads, strict=True):
        spot.set_title(head, fontsize=10)
    _bar(figure, image, axes, preset)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's extension; the file is complete or does not exist.

    Raises:
        PlotError: if the file cannot be written.
    """
    from benchkit.store.files import write_atomic

    buffer, ending = io.BytesIO(), path.suffix.lower()
    figure.savefig(buffer, format=ending[1:], dpi=150, metadata=DATELESS[ending])
    try:
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise PlotError(f"cannot write {path}: {error.strerror or error}") from error


def _grid(rows: int, columns: int, title: str, gap: float = 0.35) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL * columns + 1.3, (PANEL + gap) * rows + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _show(spot: Axes, shown: Tensor, preset: Preset, ends: tuple[float, float]) -> Any:
    low, high = ends
    spot.tick_params(labelsize=8)
    return spot.imshow(shown.numpy(), cmap=preset.colours, vmin=low, vmax=high, interpolation="nearest")


def _picture(spot: Axes, pixels: Tensor) -> None:
    spot.set_xticks([])
    spot.set_yticks([])
    colours = pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels[:3]
    spot.imshow(colours.clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")


def _frequencies(axes: Any, panels: list[Panel]) -> None:
    """Label the axes only along the left side and below the lowest panel of each column."""
    rows, columns = axes.shape
    for index in range(len(panels)):
        row, column = divmod(index, columns)
        if column == 0:
            axes[row, column].set_ylabel("vertical frequency", fontsize=8)
        if row == rows - 1 or index + columns >= len(panels):
            axes[row, column].set_xlabel("horizontal frequency", fontsize=8)


def _bar(figure: Figure, image: Any, axes: Any, preset: Preset) -> None:
    bar = figure.colorbar(image, ax=axes, extend=preset.extend, aspect=max(12, 6 * figure.get_figheight()))
    bar.set_label(preset.label, fontsize=10)
    bar.ax.tick_params(labelsize=8)
