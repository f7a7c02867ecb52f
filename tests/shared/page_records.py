"""Records for a page with all that a page can show, some of it hostile."""

from __future__ import annotations

from report_records import PIXEL, cells, record

from benchkit.report.cells import Cell

PAPER = "Someone, 2019, A Paper"
EVIL = '</script><img src=x onerror="window.hit=1"><b>bold</b>'
SCORES = {"none": (0.9, 0.9), "pruned": (0.8, 0.2), "tuned": (0.85, 0.5)}
CURVES = {
    "roc": {"fpr": [0, 0.1, 0.4, 1], "tpr": [0, 0.7, 0.95, 1]},
    "threshold": 1.5,
    "scores": {"edges": [0, 1, 2, 3, 4], "clean": [9, 5, 1, 0], "triggered": [0, 2, 6, 7], "control": [8, 5, 2, 0]},
}


def made() -> list[Cell]:
    """Four attacks, four defenses, three seeds, two datasets; one attack's name and one error are hostile."""
    attacks = ("badnets:size=5", "blend", "wanet", EVIL)
    rows = [
        record(attack, name, seed, metrics={"c_acc": c_acc, "asr": asr - at / 20 + seed / 100})
        for at, attack in enumerate(attacks)
        for name, (c_acc, asr) in SCORES.items()
        for seed in range(3)
    ]
    known = {"metrics": {"auroc": 0.75, "bdr_net": 0.5}, "curves": CURVES, "gallery": {EVIL: PIXEL, "plain": PIXEL}}
    rows += [record("blend", "strip", seed, **known) for seed in range(3)]
    rows += [record(EVIL, "strip", 0, status="failed", error=EVIL, warnings=[EVIL])]
    rows += [record("=cmd()", "none", 0, dataset="other", metrics={"c_acc": 0.5, "asr": 0.25})]
    for row in rows:
        row["attack_info"]["paper"] = PAPER
        row["defense_info"]["needs"] = ["model"] if row["defense_info"]["kind"] == "model repair" else []
    return cells(rows)
