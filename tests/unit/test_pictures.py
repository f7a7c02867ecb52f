"""The figures that are drawn from records: which rows and lines, from which numbers, and what is refused."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchkit.errors import NothingToRun, SpecError
from benchkit.records.record import Record, parse
from benchkit.report.cells import Cell, cells_of
from benchkit.report.figures import gallery
from benchkit.report.figures import roc as figure
from benchkit.report.figures.canvas import wide, wrapped
from benchkit.report.select import select


def record(attack: str, defense: str = "none", seed: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1, "key": f"{attack}{defense}{seed}", "dataset": "scenes", "model": "narrownet", "recipe": "fast",
        "attack": attack, "defense": defense, "seed": seed, "poison_rate": 0.1, "status": "ok", "metrics": {},
        "attack_info": {"benign": False, "params": {"target": 0, "flip": True}}, "defense_info": {},
        "finished": "2026-11-20T22:10:00Z",
    } | changes  # fmt: skip


def parsed(*found: dict[str, Any]) -> list[Record]:
    return [one for one in map(parse, found) if one]


def cells(*found: dict[str, Any]) -> list[Cell]:
    return cells_of(parsed(*found))


def uri(pixels: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def bomb(width: int, height: int) -> str:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(raw).decode()


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
COLOUR = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
GALLERY = {
    "clean": uri(COLOUR),
    "stamped": uri(COLOUR),
    "difference x5": uri(COLOUR),
    "spectrum of the change": uri(GREY),
}


def drawn(figure: Any) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_a_row_holds_the_pixels_of_the_record_and_how_much_is_seen() -> None:
    found = record("badnets", gallery=GALLERY, metrics={"psnr": 23.04, "ssim": 0.9561})
    (row,), faults = gallery.rows_of(cells(found))
    assert (row.attack, row.seen, faults) == ("badnets", "PSNR 23.0 dB, SSIM 0.956", [])
    shown = drawn(gallery.draw([row]).figure)
    assert [one.shape for one in shown] == [(8, 8, 3)] * 3 + [(8, 8)]
    assert np.array_equal(shown[1], COLOUR)
    assert np.array_equal(shown[3], GREY)


def test_one_row_per_attack_and_dataset_from_the_first_seed_with_pictures() -> None:
    found = [record("b", seed=seed, gallery=GALLERY if seed else {}) for seed in range(3)]
    found += [record("a", gallery=GALLERY), record("a", dataset="other", gallery=GALLERY), record("c")]
    rows, _ = gallery.rows_of(cells(*found))
    assert [(row.dataset, row.attack, row.seed) for row in rows] == [
        ("other", "a", 0), ("scenes", "a", 0), ("scenes", "b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 20, 60])
def test_small_and_large_sets_have_every_row_inside_a_figure_that_is_no_ribbon(count: int) -> None:
    rows, _ = gallery.rows_of(cells(*(record(f"a{number}", gallery=GALLERY) for number in range(count))))
    sheet = gallery.draw(rows)
    boxes = [axes.get_position() for axes in sheet.figure.axes]
    assert len(boxes) == 4 * count
    assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in boxes)
    assert 0.4 < sheet.height / sheet.width < 2
    assert not any(one.overlaps(other) for one in boxes[:8] for other in boxes[8:])


@pytest.mark.parametrize(
    "src",
    [
        "data:image/png;base64,!!!", "data:image/png;base64,", "text", 5, None, ["x"], GALLERY["clean"][:-40],
        GALLERY["clean"].replace("png", "jpeg"), bomb(40000, 40000), bomb(2000, 8),
        "data:image/png;base64," + "A" * 400_000,
    ],
)  # fmt: skip
def test_a_picture_that_is_none_is_left_out_and_told(src: object) -> None:
    (row,), ((which, fault),) = gallery.rows_of(cells(record("a", gallery={**GALLERY, "stamped": src})))
    assert row.pictures.keys() == GALLERY.keys() - {"stamped"}
    assert which.attack == "a"
    assert fault.startswith("its picture 'stamped' is no PNG")
    assert len(drawn(gallery.draw([row]).figure)) == 3


def test_too_many_rows_are_refused() -> None:
    row, _ = gallery.rows_of(cells(record("a", gallery=GALLERY)))
    with pytest.raises(SpecError, match="151 rows are too many for one figure"):
        gallery.draw(row * 151)


def roc(fpr: object, tpr: object) -> dict[str, Any]:
    return {"roc": {"fpr": fpr, "tpr": tpr}}


def test_a_line_is_the_mean_over_seeds_and_its_band_their_range() -> None:
    found = [
        record("a", "strip", 0, curves=roc([0, 0.5, 1], [0, 0.8, 1]), metrics={"auroc": 0.7}),
        record("a", "strip", 1, curves=roc([0, 1], [0, 1]), metrics={"auroc": 0.5}),
    ]
    found_curves, faults = figure.curves_in(cells(*found))
    (line,) = found_curves.panels[0].lines
    assert faults == []
    assert line.fpr == (0, 0.5, 1)
    assert line.mean == pytest.approx((0, 0.65, 1))
    assert (line.low, line.high, line.seeds) == ((0, 0.5, 1), (0, 0.8, 1), 2)
    assert line.label == "60.0  a"
    (panel,) = figure.draw(found_curves, log=False).figure.axes
    assert np.allclose(panel.get_lines()[1].get_xydata(), [(0, 0), (50, 65), (100, 100)])
    (band,) = panel.collections
    corners = np.concatenate([np.asarray(path.vertices) for path in band.get_paths()])
    assert {(50.0, 50.0), (50.0, 80.0)} <= set(map(tuple, corners.tolist()))


def test_panels_are_defenses_and_what_else_varies() -> None:
    curve = roc([0, 1], [0, 1])
    found = [record(a, d, dataset=e, curves=curve) for a in "xy" for d in ("d1", "d2") for e in ("e1", "e2")]
    made, _ = figure.curves_in(cells(*found, record("x", "none")))
    assert [panel.title for panel in made.panels] == [
        "d1, dataset e1", "d2, dataset e1", "d1, dataset e2", "d2, dataset e2",
    ]  # fmt: skip
    assert made.title == "ROC curves, model narrownet, recipe fast, poison rate 10 %"
    assert [line.attack for line in made.panels[0].lines] == ["x", "y"]


def test_on_a_logarithmic_axis_guessing_stays_guessing() -> None:
    made, _ = figure.curves_in(cells(record("a", "strip", curves=roc([0, 0.01, 1], [0, 0.01, 1]))))
    (panel,) = figure.draw(made, log=True).figure.axes
    assert panel.get_xscale() == "log"
    assert panel.get_xlim() == (1, 100)
    points = np.asarray(panel.get_lines()[1].get_xydata())
    assert len(points) > 100
    assert np.allclose(points[:, 0], points[:, 1])


def test_every_attack_looks_its_own_way() -> None:
    looks = [tuple(map(str, figure.style(index).values())) for index in range(figure.MOST_LINES)]
    assert len(set(looks)) == figure.MOST_LINES
    assert len({look[0] for look in looks[:7]}) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        roc([0, 1], [0, 0.5, 1]), roc(["a", 1], [0, 1]), roc([0, float("nan")], [0, 1]), roc([0, 2], [0, 1]),
        roc([0, 10**400], [0, 1]), roc([0, 0.5, 0.2, 1], [0, 0.1, 0.2, 1]), roc(3, 4), {"roc": []}, roc([0], [0]),
    ],
)  # fmt: skip
def test_a_curve_that_is_none_is_left_out_and_told(wrong: dict[str, Any]) -> None:
    good = record("a", "strip", 1, curves=roc([0, 1], [0, 1]))
    made, ((which, fault),) = figure.curves_in(cells(record("a", "strip", curves=wrong), good))
    assert which.seed == 0
    assert fault.startswith("its ROC curve ")
    assert made.panels[0].lines[0].seeds == 1


def test_names_are_text_and_not_mathematics() -> None:
    name = "_$\\frac{\u65e5 x_^"
    made, _ = figure.curves_in(cells(record(name, "$d_{", curves=roc([0, 1], [0, 1])), record("", "$d_{", curves={})))
    sheet = figure.draw(made, log=False)
    (panel,) = sheet.figure.axes
    legend = panel.get_legend()
    assert legend is not None
    assert legend.get_texts()[0].get_text().endswith(name)
    assert not any(one.get_parse_math() for one in [*sheet.figure.texts, *legend.get_texts()])


def test_text_is_broken_to_a_width() -> None:
    text = wrapped("W" * 30 + " " + "word " * 40, 2.0, 10)
    assert text.count("\n") == 1
    assert text.endswith("…")
    assert wide(text, 10) <= 2.0
    assert wrapped("short", 2.0, 10) == "short"


CHOICE = parsed(
    *(record(a, "d") for a in ("badnets", "badnets:target=3", "blend")), record("wanet", "e", 7, dataset="f:root=/a,b")
)
CHOICE[1].attack_info["params"]["target"] = 3


@pytest.mark.parametrize(
    ("asked", "numbers", "kept"),
    [
        ({"attack": "badnets"}, None, ["badnets", "badnets:target=3"]),
        ({"attack": "badnets:target=3,blend"}, None, ["badnets:target=3", "blend"]),
        ({"attack": "badnets:target=0"}, None, ["badnets"]),
        ({"attack": "badnets:flip"}, None, ["badnets", "badnets:target=3"]),
        ({"attack": "all,-badnets"}, None, ["blend", "wanet"]),
        ({"attack": "-badnets:target=3,-wanet"}, None, ["badnets", "blend"]),
        ({"dataset": "f:root=/a,b", "attack": None}, None, ["wanet"]),
        ({"defense": "d"}, "1", ["badnets", "badnets:target=3", "blend"]),
        ({}, "7,", ["wanet"]),
    ],
)
def test_records_are_chosen_by_name_and_parameter(asked: dict[str, str], numbers: str | None, kept: list[str]) -> None:
    assert [one.attack for one in select(CHOICE, asked, numbers)] == kept


@pytest.mark.parametrize(
    ("asked", "numbers", "words"),
    [
        (
            {"attack": "badnet"},
            None,
            "no attack 'badnet' in these results (did you mean 'badnets'?); there are badnets",
        ),
        ({"attack": "blend:alpha=9"}, None, "no attack 'blend:alpha=9' in these results"),
        ({}, "0,4", "no seed 4 in these results; there are 0, 7"),
    ],
)
def test_what_is_not_there_cannot_be_chosen(asked: dict[str, str], numbers: str | None, words: str) -> None:
    with pytest.raises(SpecError) as error:
        select(CHOICE, asked, numbers)
    assert str(error.value).startswith(words)


def test_a_choice_that_leaves_nothing() -> None:
    with pytest.raises(NothingToRun):
        select(CHOICE, {"attack": "wanet", "defense": "d"})
