"""Leaderboards: what a track lacks, what speaks against records, and the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from report_records import record

from benchkit.errors import SpecError
from benchkit.leaderboard.check import gaps, problems
from benchkit.leaderboard.site import build, index
from benchkit.leaderboard.track import tracks_of
from benchkit.records.record import Record, parse

VERSIONS = {"benchkit": "0.1.0", "python": "3.11", "torch": "2.6", "numpy": "2.0"}
TESTED = {"clean": 1000, "triggered": 900}
ROC = {"fpr": [0.0, 0.1, 1.0], "tpr": [0.0, 0.8, 1.0]}
DETECTED = {"bdr": 0.8, "fpr": 0.1, "fpr_control": 0.1, "bdr_net": 0.7, "acc": 0.85, "auroc": 0.85}


def told(attack: str, defense: str, seed: int = 0, **changes: Any) -> Record:
    """Return a record as a run writes it."""
    whole = {"versions": VERSIONS, "tested": TESTED, "key": (f"{attack}{defense}{seed}".encode().hex() * 9)[:64]}
    found = parse(record(attack, defense, seed, **{**whole, **changes}))
    assert found
    return found


GOOD = [
    told("none", "none", metrics={"c_acc": 0.95}),
    told("none", "strip", metrics={"fpr": 0.05}),
    told("none", "pruned", metrics={"c_acc": 0.95}),
    told("badnets", "none", metrics={"c_acc": 0.94, "asr": 0.9, "ra": 0.1, "der": 0.5}),
    told("badnets", "strip", metrics=DETECTED, curves={"roc": ROC}),
    told("badnets", "pruned", metrics={"c_acc": 0.9, "asr": 0.1, "ra": 0.8, "der": (0.8 - 0.04 + 1) / 2}),
]


def replaced(attack: str, defense: str, **changes: Any) -> list[Record]:
    """Return good records, but for one cell."""
    kept = [one for one in GOOD if (one.attack, one.defense) != (attack, defense)]
    return [*kept, told(attack, defense, **changes)]


def test_nothing_speaks_against_good_records() -> None:
    assert problems(GOOD) == []
    assert gaps(tracks_of(GOOD)) == []
    assert problems(GOOD, GOOD) == []


PRUNED = {"c_acc": 0.9, "asr": 0.1, "ra": 0.8, "der": 0.88}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": PRUNED | {"asr": 0.1234567}}, "asr is 0.123457, which no number of 900 images is"),
        ({"metrics": PRUNED | {"c_acc": 1.5}}, "c_acc is 1.5, which is no share"),
        ({"metrics": PRUNED | {"ra": 0.95}}, "RA and ASR are 0.95 and 0.1: more than all images"),
        ({"metrics": PRUNED | {"der": 0.95}}, "der is 0.95, but 0.88 follows from the victim without a defense"),
        ({"metrics": PRUNED, "versions": {"benchkit": "1"}}, "it does not say with which python, torch, numpy"),
        ({"metrics": PRUNED, "device": ""}, "it does not say on which device"),
        ({"metrics": PRUNED, "finished": "yesterday"}, "it does not say when it was finished"),
        ({"metrics": PRUNED, "key": "abc"}, "its key is none"),
        ({"metrics": PRUNED, "attack_info": {}}, "it does not say what attack and defense assume"),
        ({"status": "failed", "error": "odd"}, "it is no result: failed, odd"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], words: str) -> None:
    found = problems(replaced("badnets", "pruned", **changes))
    assert any(words in one.what for one in found), found
    assert {one.of for one in found} == {"badnets x pruned, seed 0"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bdr_net": 0.8}, "bdr_net is 0.8, but 0.7 follows from its other numbers"),
        ({"acc": 0.9}, "acc is 0.9, but 0.85 follows from its other numbers"),
        ({"auroc": 0.99}, "auroc is 0.99, but its ROC curve has 0.85"),
    ],
)
def test_numbers_of_a_detector_must_follow(changes: dict[str, float], words: str) -> None:
    (found,) = problems(replaced("badnets", "strip", metrics=DETECTED | changes, curves={"roc": ROC}))
    assert found.what == words


def test_repeats_agree_within_chance() -> None:
    near = {"c_acc": 0.93, "asr": 0.91, "ra": 0.09}
    assert problems(replaced("badnets", "none", metrics=near)[-1:], GOOD) == []
    far = {"c_acc": 0.94, "asr": 0.6, "ra": 0.4}
    (found,) = problems([told("badnets", "none", metrics=far)], GOOD)
    assert found.what == "asr is 60.0 %, the leaderboard has 90.0 %"


def test_a_cell_that_is_there_twice_is_named() -> None:
    (found,) = problems([*GOOD, told("none", "strip", key="f" * 64, metrics={"fpr": 0.05})])
    assert found.what == "there are 2 records of it"


def test_gaps_are_cells_and_seeds() -> None:
    more = [told("badnets", "none", 1, metrics={"c_acc": 0.94, "asr": 0.9})]
    (track,) = tracks_of([*GOOD[:-1], *more])
    assert track.missing == (("badnets", "pruned"),)
    assert track.seeds == (0, 1)
    told_of = {one.what for one in gaps([track])}
    assert "badnets x pruned was not run" in told_of
    assert "badnets x strip has no result for seed 1" in told_of
    assert not any("badnets x none" in text for text in told_of)


def test_a_track_has_a_page_and_its_limits(tmp_path: Path) -> None:
    about = tmp_path / "tracks.toml"
    place = '[[tracks]]\ndataset = "scenes"\npoison_rate = 0.1\n'
    about.write_text(f'{place}name = "Shapes"\nlimits = "Drawn, <not> photographed."\n')
    tracks = tracks_of([*GOOD, told("sig", "none", poison_rate=0.01, metrics={"c_acc": 0.9, "asr": 0.1})], about)
    assert [track.slug for track in tracks] == ["scenes-narrownet-fast-10", "scenes-narrownet-fast-1"]
    assert [track.title.split(",")[0] for track in tracks] == ["Shapes", "scenes"]
    assert [track.complete for track in tracks] == [True, False]
    written = build(tracks, tmp_path / "site")
    assert sorted(path.name for path in written) == [
        "index.html", "scenes-narrownet-fast-1.html", "scenes-narrownet-fast-10.html",
    ]  # fmt: skip
    text = (tmp_path / "site" / "index.html").read_text()
    assert "Drawn, &lt;not&gt; photographed." in text
    assert set(re.findall('href="([^"]*)"', text)) == {"data:,", *(f"{track.slug}.html" for track in tracks)}
    assert "Not complete: 2 cells were not run." in text
    page = (tmp_path / "site" / "scenes-narrownet-fast-10.html").read_text()
    assert '"home":"index.html"' in page
    assert "Complete: every attack met every defense under every seed." in page


def test_tracks_of_like_names_have_files_of_their_own() -> None:
    names = ("a b", "a/b", "a_b", "x" * 300, "x" * 301)
    tracks = tracks_of([told("badnets", "none", dataset=name, metrics={"c_acc": 0.9, "asr": 0.9}) for name in names])
    slugs = {track.slug for track in tracks}
    assert len(slugs) == len(names)
    assert max(map(len, slugs)) < 100


def test_texts_of_records_do_not_become_html() -> None:
    evil = [told("<script>alert(1)</script>", "none", dataset="<b>x", metrics={"c_acc": 0.9, "asr": 0.9})]
    text = index(tracks_of(evil))
    assert "<script" not in text
    assert "<b>x" not in text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "odd = 1",
        "[[tracks]]\nmodel = 3",
        "[[tracks]]\nlimits = 'a'\nodd = 1",
        "[[tracks]]\nlimits = 'a'\nname = 1",
    ],
)
def test_a_bad_file_of_limits_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "tracks.toml").write_text(text)
    with pytest.raises(SpecError, match=r"tracks\.toml"):
        tracks_of(GOOD, tmp_path / "tracks.toml")
