"""The Python blocks of docs/python.md run one after the other, on a dataset that trains in a second."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
TOUR = (Path(__file__).parents[2] / "docs" / "tour.md").read_text(encoding="utf-8")
TOY = Path(__file__).parents[1] / "toy.py"
PRELUDE = f"""
import functools, benchkit
benchkit.run = functools.partial(benchkit.run, datasets="toy", plugins=[{str(TOY)!r}], device="cpu")
"""
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_runs_as_a_script(tmp_path: Path) -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) >= 7
    (tmp_path / "page.py").write_text("\n".join([PRELUDE, *blocks]), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280
    )
    assert ran.returncode == 0, ran.stderr
    assert "badnets:size=5 strip 0.05 0 0." in ran.stdout
    assert "| badnets:size=5" in ran.stdout
    assert len([*tmp_path.glob("benchkit-results/results/**/*.json")]) == 4 + 3  # both runs have one benign cell


def test_calls_in_the_tour_are_ones_that_the_page_makes() -> None:
    calls = [line for block in BLOCK.findall(TOUR) for line in block.splitlines() if "benchkit." in line]
    assert calls
    for call in calls:
        compile(call, "tour.md", "exec")
        assert call.partition("  #")[0] in PAGE
