"""A run as asked for, ready to be executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchkit.plan import Plan
    from benchkit.plugins import Registry
    from benchkit.scene import Source
    from benchkit.spec import Spec
    from benchkit.store import Store


@dataclass(frozen=True)
class Request:
    """A run as asked for: validated, planned, nothing executed."""

    registry: Registry
    spec: Spec
    source: Source
    plan: Plan
    store: Store
    devices: list[str]
    plugin_files: tuple[str, ...]
