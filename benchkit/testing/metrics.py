"""The check of the metrics that attacks and defenses declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchkit.records.declared import declarations_fault
from benchkit.testing.check import require

if TYPE_CHECKING:
    from benchkit.contracts.attack import Attack
    from benchkit.contracts.defense import Defense


def check_metrics(component: Attack | Defense) -> None:
    """Its own metrics have names that are free, a direction and a description."""
    fault = declarations_fault(component.metrics)
    require(fault is None, f"{component.name}: {fault}")
