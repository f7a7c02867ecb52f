"""What pages say before their numbers: what was found, what a cell means, and what each side has."""

from __future__ import annotations

from typing import Any

import pytest
from report_records import cells, record

from benchkit.records.doubts import DEFENDED_AT_CHANCE, NOT_IMPLANTED
from benchkit.report.assumed import attacker, defender
from benchkit.report.cells import Cell
from benchkit.report.meaning import good
from benchkit.report.tables.findings import findings
from benchkit.report.tables.matrix import Axes

VICTIM = {"c_acc": 0.95, "asr": 0.99}


def told(defense: str, metrics: dict[str, float], **changes: Any) -> Cell:
    """Return a cell of BadNets beside its victim without a defense."""
    found = cells([record("badnets", "none", metrics=VICTIM), record("badnets", defense, metrics=metrics, **changes)])
    return next(cell for cell in found if cell.axis("defense") == defense)


def means(cell: Cell) -> float | None:
    return good(cell, Axes().shown(cell))


@pytest.mark.parametrize(
    ("defense", "metrics", "place"),
    [
        ("pruned", {"c_acc": 0.95, "asr": 0.0, "der": 0.99}, 1.0),
        ("pruned", {"c_acc": 0.94, "asr": 0.3, "der": 0.84}, 0.7),
        ("pruned", {"c_acc": 0.90, "asr": 0.3, "der": 0.82}, 0.5),
        ("pruned", {"c_acc": 0.10, "asr": 0.0, "der": 0.57}, 0.0),
        ("freq-detector", {"bdr_net": 0.9, "auroc": 0.99}, 0.9),
        ("freq-detector", {"bdr_net": -0.039, "auroc": 0.713}, 0.0),
        ("freq-detector", {"bdr_net": 0.6, "auroc": 0.75}, 0.5),
        ("none", VICTIM, 0.01),
    ],
)
def test_a_cell_is_worth_its_worst_number(defense: str, metrics: dict[str, float], place: float) -> None:
    assert means(told(defense, metrics)) == pytest.approx(place)


def test_what_a_defense_ruined_is_worth_nothing() -> None:
    assert means(told("pruned", {"c_acc": 0.95, "asr": 0.0}, warnings=[DEFENDED_AT_CHANCE])) == 0.0
    assert means(told("pruned", {}, status="failed", error="odd")) is None


BENIGN = [
    record("none", "none", metrics={"c_acc": 0.96}),
    record("none", "pruned", metrics={"c_acc": 0.95}),
    record("none", "strip", metrics={"fpr": 0.05}),
]
ROWS = [
    record("badnets", "none", metrics=VICTIM),
    record("badnets", "pruned", metrics={"c_acc": 0.95, "asr": 0.01, "seconds": 3.0}),
    record("badnets", "strip", metrics={"bdr_net": 0.1, "auroc": 0.6}),
    record("blend", "none", metrics=VICTIM),
    record("blend", "pruned", metrics={"c_acc": 0.95, "asr": 0.98, "seconds": 5.0}),
    record("blend", "strip", metrics={"bdr_net": 0.95, "auroc": 0.99}, warnings=["doubtful"]),
    record("faint", "none", metrics={"c_acc": 0.95, "asr": 0.2}, warnings=[NOT_IMPLANTED]),
    record("faint", "pruned", metrics={"c_acc": 0.95, "asr": 0.0}),
]


def test_findings_count_what_is_stopped_among_attacks_that_implant() -> None:
    found = findings(cells([*BENIGN, *ROWS]))
    assert (found.proven, found.unproven, found.open) == (("badnets", "blend"), ("faint",), ("blend",))
    assert [(one.defense, one.stopped, one.met, one.cost, one.seconds) for one in found.stopping] == [
        ("pruned", ("badnets",), ("badnets", "blend"), "1.0 points of C-Acc", 4.0),
        ("strip", (), ("badnets", "blend"), "5.0 % false alarms", 1.5),
    ]


def test_one_pair_of_models_is_no_finding() -> None:
    pair = record("badnets", "mna", population=1, metrics={"auroc": 1.0}, defense_info={"kind": "model detector"})
    many = record("badnets", "mna", population=8, metrics={"auroc": 1.0}, defense_info={"kind": "model detector"})
    told = [{one.defense for one in findings(cells([*ROWS, row])).stopping if one.stopped} for row in (pair, many)]
    assert told == [{"pruned"}, {"pruned", "mna"}]


def test_a_row_without_an_undefended_victim_is_no_evidence() -> None:
    found = findings(cells([row for row in ROWS if row["defense"] != "none"]))
    assert (found.proven, found.stopping, found.open) == ((), (), ())


def test_what_attackers_control_and_defenders_hold() -> None:
    info = {"access": "training", "label_policy": "clean", "needs": ["model"]}
    (crafted,) = cells([record("odd", "none", attack_info=info)])
    assert attacker(crafted).things == ("controls training", "crafts on a model")
    held = {"kind": "input detector", "clean": 0.05, "labelled": False, "overlap": True, "needs": ["logits", "train"]}
    (cell,) = cells([record("odd", "kept", attack_info=info, defense_info=held)])
    assert defender(cell).things == ("clean images", "the victim's own images", "logits", "training set")
    assert defender(cell).badges[0] == "5 % clean"
    assert defender(crafted).things == ()
    (bare,) = cells([record("odd", "kept", attack_info=info, defense_info={"kind": "model repair", "clean": 0.0})])
    assert defender(bare).things == ()
