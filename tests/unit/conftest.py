"""Fixtures that several test modules here share."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from fixture_types import Cli, Ran

from benchkit.execute.progress.history import History
from benchkit.store.store import Store

EXPERIMENTS = Path(__file__).parents[2] / "benchmarks" / "experiments"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Run one script, in ``tmp_path``, as ``python benchmarks/experiments/NAME.py ...`` does."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    monkeypatch.chdir(tmp_path)

    def run(name: str, *args: object) -> Ran:
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXPERIMENTS / name), run_name="__main__")
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def load_experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one script, or what scripts share, as a module."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return importlib.import_module


@pytest.fixture(scope="session")
def two_tints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image folder of two classes, bright and dark: 64 training and 24 test images of 16 pixels."""
    import torch
    from PIL import Image

    rng = torch.Generator().manual_seed(0)
    root: Path = tmp_path_factory.mktemp("pictures")
    for part, count in (("train", 32), ("test", 12)):
        for label, level in (("bright", 150), ("dark", 40)):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = level + torch.randint(0, 60, (16, 16, 3), generator=rng)
                Image.fromarray(pixels.byte().numpy()).save(root / part / label / f"{number}.png")
    return root


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Return what an empty folder knows of how long steps take on a CPU: nothing."""
    return History(Store(tmp_path), "cpu")
