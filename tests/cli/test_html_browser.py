"""The page in a real browser. Needs ``playwright`` and an installed Chromium; skipped where either is missing."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from page_records import EVIL, PAPER, made

from benchkit.report.formats.export import to_csv, to_json

OPEN = [
    "4",
    "attacks that none stops",
    '</script><img src=x onerror="window.hit=1"><b>bold</b>, badnets:size=5, blend and wanet',
]
WHOLE = "clean images, their labels, weights"


def text_at(page: Any, attack: str, defense: str) -> Any:
    index = next(i for i, cell in enumerate(made()) if (cell.axis("attack"), cell.axis("defense")) == (attack, defense))
    return page.locator(f"[data-cell='{index}']")


def heads(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".heat tbody th .name").all_text_contents()]


def test_the_matrix_is_there_and_only_its_box_scrolls(page: Any) -> None:
    assert "85.0 / 51.0" in text_at(page, "badnets:size=5", "tuned").inner_text()
    assert "failed" in text_at(page, EVIL, "strip").inner_text()
    assert page.locator("td.none").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(
        "[...document.querySelectorAll('.heat tbody th')].every(one => getComputedStyle(one).left === '0px')"
    )


def test_switches_change_what_is_shown(page: Any) -> None:
    page.locator("#switches select").first.select_option("c_acc")
    assert text_at(page, "blend", "tuned").inner_text().strip().startswith("85.0")
    page.get_by_label("Dataset").select_option("other")
    assert heads(page) == ["=cmd()"]
    page.get_by_label("Dataset").select_option("scenes")
    page.get_by_label("model repair").uncheck()
    assert page.locator(".heat thead [data-sort]").count() == 3
    page.get_by_label("Attacks", exact=True).fill("net")
    assert heads(page) == ["badnets:", "wanet"]
    page.get_by_label("Attacks", exact=True).fill("nothing like it")
    assert "ease the filters" in page.locator("#box").inner_text()


def test_the_address_keeps_metric_and_cell(page: Any, address: str) -> None:
    page.locator("#switches select").first.select_option("c_acc")
    text_at(page, "blend", "tuned").click()
    kept = page.url
    page.goto("about:blank")
    page.goto(kept)
    assert page.locator("#cell-title").inner_text() == "blend against tuned"
    assert page.locator("#switches select").first.input_value() == "c_acc"
    page.goto(address + "#scene=9&cell=99&metric=constructor")
    assert page.locator("dialog[open]").count() == 0


def test_rows_and_columns_can_be_sorted_and_chosen_by_what_is_assumed(page: Any) -> None:
    groups = page.locator(".heat thead .group th")
    assert groups.all_text_contents() == ["attack", "no defense", "input detector", "model repair"]
    page.locator("#columns-by").select_option("things")
    assert groups.all_text_contents() == ["attack", "no defense", "clean images, their labels", WHOLE]
    page.get_by_label("weights").uncheck()
    assert page.locator(".heat thead [data-sort]").evaluate_all("all => all.map((one) => one.dataset.sort)") == [
        "", "none", "strip",
    ]  # fmt: skip
    page.get_by_label("weights").check()
    page.locator("#rows-by").select_option("pruned")
    assert heads(page) == [EVIL, "wanet", "blend", "badnets:"]
    page.get_by_label("changes labels").uncheck()
    assert "ease the filters" in page.locator("#box").inner_text()


def test_the_page_begins_with_what_was_found(page: Any) -> None:
    tiles = page.locator("#findings .tile").all_inner_texts()
    assert tiles == ["4 of 4\nattacks implant", "none\nof the defenses stops an attack", "\n".join(OPEN)]
    assert page.locator("#findings .share").all_inner_texts() == ["0 of 4", "0 of 4", "0 of 1"]


@pytest.mark.parametrize("page", [(1280, 900)], indirect=True, ids=["desktop"])
def test_a_column_sorts_the_rows(page: Any) -> None:
    page.locator("[data-sort='pruned']").click()
    assert heads(page) == [EVIL, "wanet", "blend", "badnets:"]
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.locator("[data-sort='pruned']").click()
    assert heads(page)[0] == "badnets:"
    page.locator("[data-sort='pruned']").click()
    assert page.locator("th[aria-sort]").count() == 0


def test_the_interval_on_hover_and_on_focus(page: Any) -> None:
    half = 4.302652729911275 * 0.01 / math.sqrt(3) * 100
    told = f"ASR 51.0 ± {half:.1f} % (3 seeds, 95 % interval)"
    text_at(page, "badnets:size=5", "tuned").hover()
    assert told in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    text_at(page, "badnets:size=5", "tuned").focus()
    assert told in page.locator("#tip").inner_text()


def test_the_keyboard_alone_reaches_a_cell_and_comes_back(page: Any) -> None:
    page.locator("#box").focus()
    page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.cell"
    first = page.evaluate(focused)
    assert first is not None
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    second = page.evaluate(focused)
    assert second not in (None, first)
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate(focused) == second
    page.keyboard.press("Tab")
    assert page.evaluate(focused) is None


def test_a_cell_tells_all_it_knows(page: Any) -> None:
    text_at(page, "blend", "strip").click()
    assert page.locator("dialog .tile").all_inner_texts() == ["50.0 %\nBDR - control\n± 0.0", "75.0 %\nAUROC\n± 0.0"]
    for part in page.locator("dialog summary").all():
        part.click()
    told = page.locator("dialog").inner_text()
    words = ["chance that a triggered input", "512", "target", "benchkit 0.1.0", "seeds 0, 1, 2", "5 % clean", PAPER]
    for word in words:
        assert word in told, word
    assert page.locator("dialog figure svg polyline").count() == 3
    assert page.locator("dialog figure svg polygon").count() == 3
    assert "threshold 1.5" in page.locator("dialog .figures").inner_text()
    assert page.locator("dialog .gallery img").count() == 2, "of one seed"
    assert page.locator("dialog .gallery").inner_text().count(EVIL) == 1
    page.get_by_role("button", name="AUROC", exact=True).last.focus()
    assert "50 is guessing" in page.locator("#tip").inner_text()
    page.get_by_role("button", name="Close").click()


def test_a_failed_cell_tells_why(page: Any) -> None:
    text_at(page, EVIL, "strip").click()
    assert f"Seed 0 failed: {EVIL}" in page.locator("dialog").inner_text()
    assert f"⚠ {EVIL}" in page.locator("dialog").inner_text()


def test_the_ranking_and_its_critical_differences(page: Any) -> None:
    assert page.locator(".card").count() == 1
    assert page.locator(".card tbody tr").all_inner_texts() == [
        "pruned\t1.00\t13.5 %", "tuned\t2.00\t43.5 %", "none\t3.00\t83.5 %",
    ]  # fmt: skip
    label = page.locator(".cd").get_attribute("aria-label")
    assert label == "Critical difference 1.66; mean ranks: pruned 1.00, tuned 2.00, none 3.00"
    assert "p = 0.018" in page.locator(".card").inner_text()


def test_the_theme_follows_the_system_until_told(page: Any) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(back)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(back)
    assert light != dark
    page.locator("#theme").click()
    assert page.evaluate(back) == light
    page.reload()
    assert page.evaluate(back) == light
    page.locator("#theme").click()
    assert page.evaluate(back) == dark


CONTRAST = """() => {
  const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const painted = [...document.querySelectorAll(".cell")].filter((one) => one.style.getPropertyValue("--heat"));
  return painted.map((one) => {
    const style = getComputedStyle(one);
    const [low, high] = [light(style.color), light(style.backgroundColor)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("metric", ["", "asr", "seconds"])
def test_numbers_stand_out_from_their_colour(page: Any, scheme: str, metric: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.locator("#switches select").first.select_option(metric)
    found = page.evaluate(CONTRAST)
    assert len(found) >= 12
    assert min(found) >= 4.5


def test_downloads_are_what_report_writes(page: Any) -> None:
    texts = {}
    for name in ("CSV", "JSON"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Download {name}").click()
        texts[name] = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert json.loads(texts["JSON"]) == json.loads(to_json(made()))
    ours, theirs = (list(csv.DictReader(io.StringIO(text))) for text in (texts["CSV"], to_csv(made())))
    for one, other in zip(ours, theirs, strict=True):
        assert one["attack"] == other["attack"].replace("=cmd", "'=cmd")
        assert one["metric"] == other["metric"]
        numbers, expected = ([float(row[name] or -1) for name in ("mean", "ci95", "n")] for row in (one, other))
        assert numbers == expected
