"""A class that a model detector names for the benign model, too, is no finding: a report says so."""

from __future__ import annotations

from typing import Any

import pytest
from report_records import cells, drawn, record

INFO = {"kind": "model detector", "stage": "audit", "clean": 0.05, "overlap": False}
STOP, YIELD = {"number": 14, "name": "stop", "models": 1}, {"number": 13, "name": "yield", "models": 1}


def judged(attack: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the record of a model detector, which suspects class 14 where nothing else is said."""
    whole = {"defense_info": INFO, "population": 1, "suspected": [STOP], "metrics": {"score": 3.0, "auroc": 1.0}}
    return record(attack, "cleanse", seed) | whole | changes


def warnings(*records: dict[str, Any]) -> dict[str, set[str]]:
    return {str(cell.axis("attack")): cell.warnings() for cell in cells(list(records))}


def test_a_class_that_stands_out_without_a_trigger_is_told() -> None:
    found = warnings(judged("none"), judged("badnets", suspected=[YIELD, STOP]))
    assert found == {
        "none": set(),
        "badnets": {
            "the benign model is suspected, too, of class 14 (stop): that stands out without a trigger",
        },
    }
    assert "stands out without a trigger" in drawn([judged("none"), judged("badnets")])


@pytest.mark.parametrize(
    "benign",
    [
        {"suspected": [YIELD]},
        {"suspected": []},
        {"seed": 1},
        {"dataset": "other"},
        {"recipe": "standard"},
        {"population": 8},
        {"defense": "other"},
    ],
    ids=str,
)
def test_another_class_or_another_model_says_nothing(benign: dict[str, Any]) -> None:
    found = warnings(judged("none", **benign), judged("badnets"))
    assert not found["badnets"]


def test_the_rate_of_a_benign_row_does_not_matter() -> None:
    found = warnings(judged("none", poison_rate=0.1), judged("badnets", poison_rate=0.01))
    assert found["badnets"]


def test_of_a_population_shares_of_models_say_it() -> None:
    found = warnings(judged("none", population=8), judged("badnets", population=8))
    assert not found["badnets"]
