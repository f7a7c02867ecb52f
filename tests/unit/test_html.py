"""The page as a file: what it holds, what it may do, and what of a record's evidence it takes over."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from report_records import PIXEL, cells, record

from benchkit.report.evidence import MOST_LETTERS, MOST_PICTURES, curves_of, gallery_of
from benchkit.report.formats.html import embedded, page_data, to_html
from benchkit.report.formats.text import to_text
from benchkit.report.tables.matrix import Axes, matrix

TEXT = 3
"""Where the text of a number is in what the page is told of it; half its interval follows."""
HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&lt;\u2028"


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.texts[self.inside] = self.texts.get(self.inside, "") + data


RECORDS = [
    record("none", "none", poison_rate=0.0, metrics={"c_acc": 0.9}),
    *[record("badnets", "none", k, metrics={"c_acc": 0.9, "asr": 0.97 + k / 100}) for k in range(3)],
    record("badnets", "tuned", metrics={"c_acc": 0.8125, "asr": 0.00125}, warnings=["odd"]),
    record("badnets", "tuned", 1, status="failed", error="the loss is not finite"),
    record("sig", "tuned", poison_rate=0.05, status="timeout", error="too long"),
]


def test_hostile_text_travels_as_data_and_comes_out_as_it_went_in() -> None:
    evil = [
        record(f"{HOSTILE}1", HOSTILE, defense_info={"kind": HOSTILE}, status="failed", error=HOSTILE,
               warnings=[HOSTILE]),
        record("a", "b", dataset=HOSTILE, model=HOSTILE, recipe=HOSTILE, metrics={HOSTILE: 0.5},
               versions={HOSTILE: HOSTILE}, attack_info={"params": {HOSTILE: HOSTILE}, "access": HOSTILE},
               costs={HOSTILE: {"seconds": 1.0}}, gallery={HOSTILE: PIXEL}),
    ]  # fmt: skip
    plain, page = Elements(to_html(cells(RECORDS))), Elements(to_html(cells(evil)))
    assert page.found == plain.found
    data = json.loads(page.texts["data"])
    assert not re.search("[<>&\u2028]", page.texts["data"])
    safe = HOSTILE.replace("\u2028", "")
    (failed,) = [cell for cell in data["cells"] if cell["status"] == "failed"]
    assert (failed["attack"], failed["records"][0]["error"], failed["kind"]) == (f"{safe} 1", safe, HOSTILE)


def test_the_programs_of_the_page_are_its_own_and_never_write_html() -> None:
    page = Elements(to_html(cells(RECORDS)))
    (policy,) = [attrs["content"] for tag, attrs in page.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    for text in (page.texts["style"], page.texts["script"]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    writers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|eval\(|Function\("
    assert not re.search(writers, page.texts["script"])


def test_nothing_is_fetched() -> None:
    page = Elements(to_html(cells(RECORDS)))
    links = [attrs[name] or "" for _, attrs in page.found for name in ("src", "href") if name in attrs]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    addresses = re.findall(r"https?://[^\s\"']+", page.texts["script"] + page.texts["style"])
    assert set(addresses) == {"http://www.w3.org/2000/svg"}


def test_numbers_read_as_in_the_tables() -> None:
    data = page_data(cells(RECORDS))
    (tuned,) = [cell for cell in data["cells"] if (cell["attack"], cell["defense"]) == ("badnets", "tuned")]
    texts = [tuned["metrics"][name][TEXT] for name in tuned["shown"]]
    assert " / ".join(texts) in to_text(matrix(cells(RECORDS), Axes()), "markdown")
    assert texts == ["81.2", "0.1"]
    (plain,) = [cell for cell in data["cells"] if (cell["attack"], cell["defense"]) == ("badnets", "none")]
    assert plain["metrics"]["asr"][TEXT : TEXT + 2] == ["98.0", "2.5"]
    assert plain["metrics"]["asr"][-3:] == [0.97, 0.98, 0.99]
    assert [one["status"] for one in tuned["records"]] == ["ok", "failed"]
    assert data["faults"] == (
        "✗ the loss is not finite [badnets x tuned 10 % seed 1]",
        "⏱ too long [sig x tuned 5 % seed 0]",
    )


def test_a_scene_has_the_benign_row_of_another_poison_rate() -> None:
    scenes = page_data(cells(RECORDS))["scenes"]
    assert [(one["poison_rate"], len(one["cells"])) for one in scenes] == [("5 %", 2), ("10 %", 3)]
    assert scenes[0]["cells"][-1] == scenes[1]["cells"][-1]


def test_the_page_does_not_depend_on_the_order_of_records() -> None:
    shuffled = random.Random(0).sample(RECORDS, len(RECORDS))
    assert to_html(cells(RECORDS)) == to_html(cells(shuffled))


def test_what_is_no_number_is_no_cost() -> None:
    costs = {"cell": {"seconds": math.nan, "peak_mb": "much"}, "odd": 3, "victim": {"seconds": 4, "peak_mb": math.inf}}
    (cell,) = page_data(cells([record("a", "b", costs=costs)]))["cells"]
    assert cell["costs"] == {"victim": {"seconds": 4}}


def test_the_page_needs_neither_torch_nor_plugins() -> None:
    code = (
        "import sys, json; from benchkit.records.record import parse; from benchkit.report.cells import cells_of\n"
        "from benchkit.report.formats.html import to_html\n"
        "to_html(cells_of([parse(one) for one in json.load(sys.stdin)]))\n"
        "print(sorted({'torch', 'timm', 'benchkit_plugins', 'rich'} & {name.split('.')[0] for name in sys.modules}))"
    )
    text = json.dumps(RECORDS)
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_part_of_the_page_is_in_the_package() -> None:
    names = {one.name for one in (files("benchkit.report.formats") / "assets").iterdir()}
    page = to_html(cells(RECORDS))
    assert {"page.html", "page.css"} < names
    for name in names - {"page.html"}:
        assert (files("benchkit.report.formats") / "assets" / name).read_text(encoding="utf-8") in page, name


def test_embedded_json_is_ascii_without_markup() -> None:
    assert embedded({"</script>": "a & b \u2029 ü"}) == ('{"\\u003c/script\\u003e":"a \\u0026 b \\u2029 \\u00fc"}')


def test_curves_that_are_right_are_kept() -> None:
    roc = {"fpr": [0, 0.5, 1], "tpr": [0, 0.9, 1]}
    scores = {"edges": [-1, 0, 0, 1], "clean": [3, 0, 1], "triggered": [0, 0, 4]}
    found = {"roc": roc, "scores": scores, "threshold": 0.5}
    assert curves_of(found | {"more": 1}) == found


@pytest.mark.parametrize(
    "broken",
    [
        {"roc": {"fpr": [0, 1], "tpr": [0, 0.5, 1]}},
        {"roc": {"fpr": [0, 2], "tpr": [0, 1]}},
        {"roc": {"fpr": [0, math.nan], "tpr": [0, 1]}},
        {"roc": {"fpr": "01", "tpr": "01"}},
        {"roc": {"fpr": [0] * 3000, "tpr": [0] * 3000}},
        {"roc": 7},
        {"scores": {"edges": [0, 2, 1], "clean": [1, 2]}},
        {"scores": {"edges": [1, 1], "clean": [1]}},
        {"threshold": math.inf},
        {"scores": {"edges": [0, 1, 2], "clean": [1, 2, 3]}},
        {"scores": {"edges": [0, 1, 2], "clean": [1, -2]}},
        {"scores": {"edges": [0, 1, 2]}},
        {"scores": {"edges": [0], "clean": []}},
    ],
)
def test_curves_that_make_no_sense_are_left_out(broken: dict[str, Any]) -> None:
    assert curves_of(broken) == {}


def test_a_gallery_holds_pictures_and_nothing_that_could_run() -> None:
    odd = ["data:image/svg+xml;base64,AAAA", "https://example.org/a.png", "javascript:alert(1)", PIXEL + "\n", 3, None,
           PIXEL[:30] + "A" * MOST_LETTERS]  # fmt: skip
    found = gallery_of({str(at): src for at, src in enumerate(odd)} | {"a\nb": PIXEL})
    assert found == [{"src": PIXEL, "caption": "a b"}]
    assert len(gallery_of({str(at): PIXEL for at in range(99)})) == MOST_PICTURES
