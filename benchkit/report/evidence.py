"""The curves and pictures of a record, each checked before a page shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from benchkit.records.record import finite
from benchkit.text import printable

GROUPS = ("clean", "triggered", "control")
MOST_POINTS, MOST_PICTURES, MOST_LETTERS = 2000, 24, 300_000
_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}")


def curves_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ROC curve and the score histograms of a record's ``curves``; malformed parts are omitted.

    ``{"roc": {"fpr": [...], "tpr": [...]}}``: shares, from (0, 0) to (1, 1), of equal length. ``{"scores": {"edges":
    [...], "clean": [...], "triggered": [...], "control": [...]}}``: counts or shares per bin, for any of these groups,
    with one more edge than bins; rounded edges may be equal. ``{"threshold": ...}``: the score from which an input is
    flagged.
    """
    checked = {"roc": _roc(found.get("roc")), "scores": _scores(found.get("scores"))}
    threshold = _numbers([found.get("threshold")])
    return {name: curve for name, curve in checked.items() if curve} | (
        {"threshold": threshold[0]} if threshold else {}
    )


def gallery_of(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the pictures of a record's ``gallery``, ``{caption: data URI}``; anything else is omitted.

    Only base64 PNG, JPEG, WebP and GIF are allowed: an SVG could contain a script.
    """
    rows = [{"src": src, "caption": printable(str(name))} for name, src in found.items() if _is_picture(src)]
    return rows[:MOST_PICTURES]


def _is_picture(src: object) -> bool:
    return isinstance(src, str) and len(src) <= MOST_LETTERS and _PICTURE.fullmatch(src) is not None


def _numbers(found: object) -> list[float]:
    """Return a list of finite numbers, or an empty one."""
    if not isinstance(found, list) or len(found) > MOST_POINTS:
        return []
    return [float(value) for value in found] if all(map(finite, found)) else []


def _roc(found: object) -> dict[str, list[float]]:
    if not isinstance(found, dict):
        return {}
    fpr, tpr = _numbers(found.get("fpr")), _numbers(found.get("tpr"))
    shares = all(0 <= value <= 1 for value in fpr + tpr)
    return {"fpr": fpr, "tpr": tpr} if len(fpr) == len(tpr) >= 2 and shares else {}


def _scores(found: object) -> dict[str, list[float]]:
    if not isinstance(found, dict):
        return {}
    edges = _numbers(found.get("edges"))
    if len(edges) < 2 or edges[0] == edges[-1] or any(low > high for low, high in pairwise(edges)):
        return {}
    counts = {name: _numbers(found.get(name)) for name in GROUPS}
    good = {name: row for name, row in counts.items() if len(row) == len(edges) - 1 and min(row) >= 0}
    return {"edges": edges, **good} if good else {}
