"""The conformance kit: checks that a plugin follows benchkit's contracts.

Three lines in a plugin's own tests::

    @benchkit.testing.parametrize_with_checks([Checkerboard])
    def test_conforms(check):
        check()

Each check is one named function; if it fails, it says in one sentence what to change. A method that raises fails one
check; those that it would fail for the same reason are not run (:class:`NotRun`, a skip in pytest). The checks run in a
toy world (:mod:`benchkit.testing.world`), which makes scenes as the harness does. :mod:`benchkit.testing.worlds` has
victims with planted backdoors, in which a defense's own tests see whether it works.
May import: contracts, measure, models, ops, params, protocol, records, store, training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchkit.contracts.attack import Attack
from benchkit.contracts.dataset import Dataset
from benchkit.contracts.defense import Defense
from benchkit.testing.attacks import attack_checks
from benchkit.testing.check import Cause, Check, ConformanceError, NotRun, Subject
from benchkit.testing.common import class_of, declaration_checks
from benchkit.testing.datasets import dataset_checks
from benchkit.testing.defenses import defense_checks

if TYPE_CHECKING:
    import pytest

    from benchkit.contracts.data import Source

__all__ = [
    "Check",
    "ConformanceError",
    "NotRun",
    "attack_checks",
    "checks",
    "dataset_checks",
    "declaration_checks",
    "defense_checks",
    "parametrize_with_checks",
]


def checks(subject: Subject, *, source: Source | None = None) -> list[Check]:
    """Return the checks for the kind of ``subject``.

    Args:
        subject: an attack, defense or dataset: a class (checked with default parameters) or a component.
        source: the location of a dataset's files; by default an empty folder.

    Raises:
        TypeError: if it is none of the three.
    """
    cls, reported = class_of(subject), dict[Cause, str]()
    if issubclass(cls, Attack):
        found = attack_checks(subject)
    elif issubclass(cls, Defense):
        found = defense_checks(subject)
    elif issubclass(cls, Dataset):
        found = dataset_checks(subject, source)
    else:
        raise TypeError(f"{cls.__qualname__} is not a benchkit Attack, Defense or Dataset")
    return [dataclasses.replace(check, reported=reported) for check in found]


def parametrize_with_checks(subjects: Iterable[Subject], *, source: Source | None = None) -> pytest.MarkDecorator:
    """Run a test function once per check of each subject, as its argument ``check``.

    Ids have the form ``checkerboard-stamp-repeats``, so ``pytest -k stamp`` selects among them.
    """
    import pytest

    found = [check for subject in subjects for check in checks(subject, source=source)]
    return pytest.mark.parametrize("check", found, ids=str)
