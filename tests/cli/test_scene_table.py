"""The tables of the plugin tutorial that say what is in a scene hold in a real run, for each method of each kind."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from fixture_types import Cli, RecordsIn
from scenic import USES, benchkit_attacks, benchkit_defenses

import benchkit

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
INTERNAL = {"held", "rate", "level", "granted", "trainer", "known", "answers"}
KIND = {"score", "purify", "suspicion", "train", "repair", "calibration", "cutoff", "flags_above"}
Table = dict[tuple[str, str], str]


def tables() -> list[Table]:
    """Return each table whose first heading is ``in the scene``: its words by field and method."""
    found = []
    for block in re.findall(r"^\| in the scene \|.*?(?=\n\n)", PAGE, flags=re.MULTILINE | re.DOTALL):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
        methods = [re.findall(r"`(\w+)`", cell) or sorted(KIND) for cell in head[1:]]
        found.append(
            {
                (field, method): word
                for fields, *words in rows
                for field in re.findall(r"`(\w+)`", fields)
                for column, word in zip(methods, words, strict=True)
                for method in column
            }
        )
    return found


ATTACKS, DEFENSES = tables()


def test_the_tables_name_every_field_of_a_scene() -> None:
    own = {name for name in vars(benchkit.Scene) if not name.startswith("_")}
    public = (own | {field.name for field in dataclasses.fields(benchkit.Scene)}) - INTERNAL
    assert set(USES) == public
    for table in (ATTACKS, DEFENSES):
        assert {field for field, _ in table} == public


STRONGER = {"labels": {"labels", "logits", "model"}, "logits": {"logits", "model"}}
"""Needs that each of these comes with."""


def wanted(table: Table, method: str, who: type[benchkit.Component]) -> set[str]:
    """Return the fields that a method of a component should have."""
    needs = set(getattr(who, "needs", ()))
    granted = {
        "yes": True,
        "needs": "model" in needs,
        "clean": issubclass(who, benchkit.CleanImages),
        "victim": getattr(who, "has_victim", False),
        "-": False,
    }
    own = {field: not needs.isdisjoint(STRONGER.get(field, {field})) for field in ("labels", "logits", "train")}

    def has(field: str, word: str) -> bool:
        return own[field] if word == "needs" and field in own else granted[word]

    return {field for field, one in table if one == method and has(field, table[field, one])}


@pytest.fixture
def seen(toy_run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records_in: RecordsIn) -> dict[str, list[str]]:
    """Run every attack against every defense; return what each method had, each time that it ran."""
    monkeypatch.setenv("SCENIC_LOG", str(tmp_path / "log"))
    defenses = ",".join(cls.name for cls in benchkit_defenses())
    asked = ("--attacks", "noter,model-noter", "--defenses", defenses, "--population", 2, "--models", "two-tensors")
    plugins = ("-p", TESTS / "shared" / "scenic.py", "-p", TESTS / "shared" / "learners.py")
    ran = toy_run(*asked, *plugins, "--executor", "inline", "--device", "cpu")
    assert ran.code == 0, [one["error"] for one in records_in(tmp_path / "results")]
    found: dict[str, list[str]] = {}
    for who, method, fields in map(json.loads, (tmp_path / "log").read_text().splitlines()):
        found.setdefault(f"{who} {method}", []).append(" ".join(fields))
    return found


def test_the_tables_hold_in_a_run(seen: dict[str, list[str]]) -> None:
    classes = {cls.name: cls for cls in (*benchkit_attacks(), *benchkit_defenses())}
    for call, times in seen.items():
        who, method = call.split()
        cls = classes[who]
        table = ATTACKS if issubclass(cls, benchkit.Attack) else DEFENSES
        expected = wanted(table, method, cls)
        assert {frozenset(one.split()) for one in times} == {frozenset(expected)}, call
    ran = {tuple(call.split()) for call in seen}
    methods = {method for _, method in ATTACKS}
    assert {("noter", one) for one in methods} | {("model-noter", one) for one in methods} <= ran
    acts = {method for who, method in ran if issubclass(classes[who], benchkit.Defense)}
    assert acts == {method for _, method in DEFENSES}
