"""The example of the scans: what it draws, and where it puts the images with a sticker."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "poisoned_folder.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("poisoned_folder", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_poisons_are_beside_the_clean_images_of_the_target_and_are_listed(
    example: ModuleType, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    example.write(tmp_path, 3, rng)
    listed = example.poison(tmp_path, rng)
    assert len(set(listed)) == example.POISONS
    assert {path.name for path in tmp_path.iterdir()} == set(example.CLASSES)
    files = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / example.TARGET).iterdir())
    assert len(files) == 3 + example.POISONS
    assert set(listed) <= set(files)
    images, labels = example.read(tmp_path)
    assert images.shape == (15 + example.POISONS, 3, 64, 64)
    assert labels.bincount().tolist() == [3, 3, 3 + example.POISONS, 3, 3]
    own = (labels == example.CLASSES.index(example.TARGET)).nonzero().squeeze(1).tolist()
    pink = (images[own, 0, 52, 52] == 1) & (images[own, 1, 52, 52] < -0.5)
    assert [files[row] for row in pink.nonzero().squeeze(1).tolist()] == listed


def test_a_sticker_covers_64_pixels(example: ModuleType) -> None:
    picture = example.sign("stop", np.random.default_rng(1))
    changed = (np.asarray(picture) != np.asarray(example.with_sticker(picture))).any(2)
    assert changed.sum() == 64
    assert changed[52:60, 52:60].all()
