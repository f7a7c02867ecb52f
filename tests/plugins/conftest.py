"""Fixtures that several test modules here share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import backdoored_toy
import pytest

if TYPE_CHECKING:
    from benchkit.models.classifier import Classifier


@pytest.fixture(scope="session")
def victim() -> Classifier:
    """Return a network that was trained on the poisoned toy set."""
    return backdoored_toy.victim()


@pytest.fixture(scope="session")
def benign() -> Classifier:
    """Return one that was trained on the clean toy set."""
    return backdoored_toy.benign()
