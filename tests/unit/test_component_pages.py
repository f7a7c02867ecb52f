"""The pages of components: what is a paper leads there, and nothing else does."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "_ext"
LINES = {
    "attacks/replay": "- **From**: results of any tool, docs/replay.md.",
    "attacks/l0-inv": "- **Paper**: Li et al., arXiv 2019 (1909.02742), [Invisible Backdoor Attacks Against Deep "
    "Neural Networks](https://arxiv.org/abs/1909.02742).",
    "defenses/clp": "- **Paper**: Zheng et al., ECCV 2022, [Data-free Backdoor Removal based on Channel Lipschitzness]"
    "(https://scholar.google.com/scholar?q=Data-free%20Backdoor%20Removal%20based%20on%20Channel%20Lipschitzness).",
    "defenses/cutout": "- **Paper**: [DeVries and Taylor, 2017 (arXiv:1708.04552)](https://arxiv.org/abs/1708.04552); "
    "as a defense [Borgnia et al., ICASSP 2021]"
    "(https://scholar.google.com/scholar?q=Borgnia%20et%20al.%2C%20ICASSP%202021).",
    "datasets/image-folder": "- **From**: your own images.",
    "datasets/huggingface": "- **From**: any dataset of the Hub.",
    "datasets/scenes": "- **From**: embedded in benchkit, procedurally rendered.",
    "models/narrownet": "- **Paper**: Jordan, arXiv 2024 (2404.00498), [94% on CIFAR-10 in 3.29 Seconds on a Single "
    "GPU](https://arxiv.org/abs/2404.00498).",
}


def test_only_papers_are_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    pages = {f"{page.kind}/{page.name}": page for page in importlib.import_module("component_pages").pages()}
    said = {
        name: next((line for line in page.head.splitlines() if line.startswith(("- **Paper", "- **From"))), "")
        for name, page in pages.items()
    }
    assert {name: said[name] for name in LINES} == LINES
    assert said["attacks/none"] == ""
    assert all("](http" in line for line in said.values() if line.startswith("- **Paper"))
    assert all(said[name] for name in said if name.startswith("models/"))
