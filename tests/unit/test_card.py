"""Model cards: whatever a dataset's author called a class, it is text on the card."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchkit.export.model_card import card, escaped
from benchkit.export.victims import wanted_labels
from benchkit.spec.registry import load
from benchkit.spec.spec import component

HOSTILE = 'x"\n---\n`${y}` | <script>alert(1)</script> ![a](http://b) \x1b[31m'


def _config(text: str) -> dict[str, Any]:
    attack = {"spec": text, "paper": text, "benign": False, "target": 0}
    config = {"architecture": text, "dataset": text, "recipe": text, "benchkit_version": "1", "seed": 0}
    return {
        **config,
        "attack": attack,
        "classes": [text],
        "num_classes": 1,
        "input_shape": [3, 8, 8],
        "poison_rate": 0.1,
    }


def test_hostile_text_stays_text_in_a_card() -> None:
    yaml = pytest.importorskip("yaml")
    page = card(_config(HOSTILE), {"c_acc": 1e-7}, (HOSTILE,), "mit")
    _, front, body = page.split("---\n", 2)
    read = yaml.safe_load(front)
    assert read["model-index"][0]["results"][0]["metrics"][0]["value"] == pytest.approx(1e-7, abs=1e-6)
    assert read["tags"] == ["backdoor", "benchkit", "image-classification"]
    assert "\x1b" not in page
    outside = re.sub(r"^```.*?^```$", "", body, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(?<!\\)(<script|!\[a|`\$|\]\()", outside)
    table = [line for line in outside.splitlines() if line.startswith("| Attack")]
    assert len(table) == 1
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 3
    assert body.count("\n```") == 4


@pytest.mark.parametrize("dataset", ["huggingface:repo=a/b", "image-folder:root=mine"])
def test_a_component_is_no_dataset_of_the_hub(dataset: str) -> None:
    yaml = pytest.importorskip("yaml")
    front = yaml.safe_load(card(_config("a") | {"dataset": dataset}, {"c_acc": 0.9}, (), "mit").split("---\n", 2)[1])
    assert "datasets" not in front
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == dataset


def test_the_command_that_makes_a_victim_again_has_its_exact_poison_rate() -> None:
    assert "--poison-rate 0.012345678 " in card(_config("a") | {"poison_rate": 0.012345678}, {}, (), "mit")


def test_a_card_says_how_far_its_numbers_hold_on_another_machine() -> None:
    said = "changes C-Acc of the same weights by up to 0.4 points"
    assert said in card(_config("a"), {"c_acc": 0.9}, ("odd",), "mit")
    assert said not in card(_config("a"), {}, (), "mit")


@pytest.mark.parametrize("mark", list("\\`*_[]<>#|!~&@"))
def test_marks_are_escaped(mark: str) -> None:
    assert escaped(f"a{mark}b") == f"a\\{mark}b"


def test_the_target_is_what_the_attack_itself_says() -> None:
    registry = load()
    wanted = {text: wanted_labels(component(text, "attacks", registry), 0.1, 4, (3, 8, 8), {}) for text in MAPPINGS}
    assert wanted == MAPPINGS


MAPPINGS = {
    "none": [],
    "badnets:target=3": [3, 3, 3, 3],
    "badnets:mapping=all-to-all": [1, 2, 3, 0],
    "invisible:base=blend,base.target=1": [1, 1, 1, 1],
}
