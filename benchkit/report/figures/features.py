"""Figures of what victims make of triggers: their features in a plane, where they look, which channels answer."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchkit.errors import BenchkitError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Rows = NDArray[np.floating[Any] | np.integer[Any]]

HEADS = ("features", "clean, and where it looks", "triggered, and where it looks", "channels")
COLOURS = {"clean": "#b5b5b5", "clean, target class": "#4c9f70", "control": "#3b78c2", "triggered": "#c8382e"}
SIDE = 3.0
"""Height of a row, inches."""
CHANNELS = 24
"""Channels that are shown: those that the trigger moves most."""


@dataclass(frozen=True)
class Panel:
    """The row of one attack.

    Attributes:
        name: the attack.
        groups: float (N, F), the features of ``clean``, ``control`` and ``triggered`` images; clean ones alone of a
            benign row.
        labels: int (N,), of the clean images.
        wanted: the label that the trigger leads to, if there is one for all images; else -1.
        pair: uint8 (2, C, H, W), an image without and with the trigger; None of a benign row.
        maps: float (2, H, W), Grad-CAM of what the victim says of each; None of a network without convolutions.
        said: the names of the classes that it says.
    """

    name: str
    groups: Mapping[str, Rows]
    labels: Rows
    wanted: int = -1
    pair: Rows | None = None
    maps: Rows | None = None
    said: tuple[str, ...] = ()


def require_method(name: str) -> None:
    """Before any computation, check that a projection can be computed.

    Raises:
        BenchkitError: if its library is missing.
    """
    if name == "umap":
        try:
            importlib.import_module("umap")
        except ImportError:
            raise BenchkitError("--method umap needs umap-learn: pip install 'benchkit[umap]'") from None


def projected(groups: Mapping[str, Rows], method: str, seed: int) -> dict[str, Rows]:
    """Return features in a plane, one projection for all groups: float (N, 2) for each."""
    import numpy as np

    whole = np.concatenate([*groups.values()]).astype(np.float64)
    plane = _umap(whole, seed) if method == "umap" else pca(whole)
    ends = np.cumsum([len(one) for one in groups.values()])[:-1]
    return dict(zip(groups, np.split(plane, ends), strict=True))


def pca(rows: Rows) -> Rows:
    """Return rows (N, F) along the two directions of most variance, float (N, 2); the sign of each is fixed."""
    import numpy as np

    centred = rows - rows.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = np.pad(axes[:2], ((0, max(0, 2 - len(axes))), (0, 0)))
    largest = np.abs(axes).argmax(1)
    signs = np.where(axes[np.arange(2), largest] < 0, -1.0, 1.0)
    plane: Rows = centred @ (axes * signs[:, None]).T
    return plane


def _umap(rows: Rows, seed: int) -> Rows:
    import warnings

    with warnings.catch_warnings(action="ignore"):  # that a seed needs one thread
        plane: Rows = importlib.import_module("umap").UMAP(random_state=seed).fit_transform(rows)
    return plane


def moved(panel: Panel) -> tuple[Rows, Rows]:
    """Return the channels that the trigger moves most, and how far: 1 is what a channel varies over clean images.

    The change is that of the mean from control to triggered images, so that what processing does is not counted. All
    channels share the unit, the mean of their standard deviations: one that clean images never use would have none.
    """
    unit = panel.groups["clean"].std(0).mean()
    change = (panel.groups["triggered"].mean(0) - panel.groups["control"].mean(0)) / max(float(unit), 1e-12)
    order = abs(change).argsort(kind="stable")[::-1][:CHANNELS]
    return order, change[order]


def draw(panels: list[Panel], title: str, method: str, seed: int) -> Figure:
    """Draw a row for each attack: features, where the victim looks, and the channels that answer to the trigger."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * SIDE, SIDE * len(panels) + 0.8), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    spots = figure.subplots(len(panels), 4, squeeze=False, width_ratios=(1.3, 1, 1, 1.3))
    for row, panel in zip(spots, panels, strict=True):
        _scatter(row[0], panel, projected(panel.groups, method, seed))
        for at, spot in enumerate(row[1:3]):
            _looks(spot, panel, at)
        _channels(row[3], panel)
        row[0].set_ylabel(panel.name, fontsize=10, parse_math=False)
    for spot, head in zip(spots[0], HEADS, strict=True):
        spot.set_title(f"{head} ({method.upper()})" if head == HEADS[0] else head, fontsize=10)
    handles, names = _legend(spots)
    figure.legend(
        handles, names, loc="outside lower left", ncols=len(COLOURS), fontsize=8, frameon=False, markerscale=3
    )
    return figure


def _legend(spots: Any) -> tuple[list[Any], list[str]]:
    found = {name: handle for row in spots for handle, name in zip(*row[0].get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


def _scatter(spot: Axes, panel: Panel, plane: Mapping[str, Rows]) -> None:
    target = panel.labels == panel.wanted
    groups = {"clean": plane["clean"][~target], "clean, target class": plane["clean"][target]}
    groups |= {name: plane[name] for name in ("control", "triggered") if name in plane}
    for name, points in groups.items():
        if len(points):
            across, up = points.T
            spot.scatter(across, up, 5, COLOURS[name], alpha=0.6, linewidths=0, label=name, rasterized=True)
    spot.set_xticks([])
    spot.set_yticks([])


def _looks(spot: Axes, panel: Panel, at: int) -> None:
    """Draw an image darkened where the victim does not look."""
    spot.set_xticks([])
    spot.set_yticks([])
    if panel.pair is None:
        spot.set(frame_on=False, box_aspect=1)
        return
    colours = panel.pair[at][[0, -2, -1] if len(panel.pair[at]) > 1 else [0, 0, 0]].transpose(1, 2, 0) / 255
    if panel.maps is not None and panel.maps[at].max() > panel.maps[at].min():
        heat = panel.maps[at] / panel.maps[at].max()
        colours = colours * (0.25 + 0.75 * heat[..., None])
        spot.contour(heat, levels=[0.5], colors="white", linewidths=1)
    spot.imshow(colours, interpolation="nearest", vmin=0, vmax=1)
    spot.set_xlabel(f"said: {panel.said[at]}", fontsize=8, parse_math=False)


def _channels(spot: Axes, panel: Panel) -> None:
    if "triggered" not in panel.groups:
        spot.set(frame_on=False, xticks=[], yticks=[])
        return
    order, change = moved(panel)
    places = range(len(order))
    spot.bar(places, change, color=COLOURS["triggered"])
    spot.axhline(0, color="#555555", linewidth=0.8)
    spot.set_xticks(places, [str(one) for one in order], rotation=90, fontsize=6)
    spot.set_ylabel("change by the trigger, in deviations", fontsize=8)
    spot.tick_params(axis="y", labelsize=8)
