"""One measured quantity: its name, unit and direction, and how its values are written. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TOO_WIDE = ">50"


@dataclass(frozen=True)
class Metric:
    """One measured quantity. Records hold fractions where the unit is ``%``, and plain numbers otherwise.

    A plugin lists the metrics of its own in its class attribute ``metrics``. What is said here travels in each record
    that has the metric, so that a report needs no plugin.

    Attributes:
        name: the name in records and on the command line: lower-case letters, digits and underscores.
        title: the name in tables; by default ``name``.
        better: which end is better for the defender: ``higher``, ``lower`` or ``neither``.
        unit: what the number counts, such as ``px``; ``%`` for a share, which tables multiply by 100; may be empty.
        about: what it is, in one clause.
        idle: what guessing, or doing nothing, comes to: who does no better has won nothing.
        ends: the metrics that hold the ends of its interval under one seed.
    """

    name: str
    title: str = ""
    better: Literal["higher", "lower", "neither"] = "neither"
    unit: str = ""
    about: str = ""
    idle: float | None = None
    ends: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.name)

    @property
    def percent(self) -> bool:
        """Whether it is a share, which tables show in percent."""
        return self.unit == "%"

    def text(self, value: float) -> str:
        """Write a value as tables show it: percent with one decimal, anything else with three digits."""
        if self.percent:
            return f"{100 * value:z.1f}"  # no minus in front of a zero
        return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:z.3g}"

    def half(self, width: float) -> str:
        """Write half the width of an interval; one that spans more than half of all shares tells no number."""
        return TOO_WIDE if self.percent and width > 0.5 else self.text(width)

    def is_idle(self, value: float) -> bool:
        """Return whether a value reads no better than guessing, or doing nothing, does."""
        if self.idle is None:
            return False
        worse = value < self.idle if self.better == "higher" else value > self.idle
        return worse or self.text(value) == self.text(self.idle)

    def legend(self) -> str:
        """Return the line that explains this metric below a table."""
        ways = [self.unit] if self.unit else []
        ways += [f"{self.better} is better"] if self.better != "neither" else []
        return f"{self.title} ({', '.join(ways)}): {self.about}" if ways else f"{self.title}: {self.about}"
