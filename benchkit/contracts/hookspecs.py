"""The hooks benchkit calls. A plugin is a module that implements one or more of them.

Mark each implementation with ``@benchkit.hookimpl`` and name the module in the entry-point group ``benchkit``::

    [project.entry-points.benchkit]
    checkerboard = "benchkit_checkerboard"

Hooks return classes; importing the module must have no other effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from torch import nn

    from benchkit.contracts.attack import Attack
    from benchkit.contracts.dataset import Dataset
    from benchkit.contracts.defense import Defense

hookspec = pluggy.HookspecMarker("benchkit")
hookimpl = pluggy.HookimplMarker("benchkit")


# A specification is never called; raising stands for a body that its type demands.


@hookspec
def benchkit_attacks() -> Iterable[type[Attack]]:
    """Return attack classes; called when the plugin is loaded: ``return [Checkerboard]``."""
    raise NotImplementedError


@hookspec
def benchkit_defenses() -> Iterable[type[Defense]]:
    """Return defense classes, each derived from one of the six kinds: ``return [MyDetector]``."""
    raise NotImplementedError


@hookspec
def benchkit_datasets() -> Iterable[type[Dataset]]:
    """Return dataset classes: ``return [MyImages]``."""
    raise NotImplementedError


@hookspec(firstresult=True)
def benchkit_model(name: str, classes: int, channels: int, height: int, width: int) -> nn.Module | None:
    """Build the network ``name`` with random weights, or return None for unknown names; timm is asked last.

    It maps float32 (N, channels, height, width), normalised, to logits (N, classes), and ends in a ``nn.Linear``.
    """


@hookspec
def benchkit_cell_finished(record: dict[str, Any]) -> None:
    """Receive each record after it was written (for loggers, trackers), as its JSON file holds it.

    Exceptions are reported, not raised.
    """
