"""What is wrong with servers and streams, and how much it matters."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from sgevents_core.choices import Durability

FaultWeight: TypeAlias = Literal["unusable", "unsafe", "remark"]
"""Whether nothing works with it, or what was confirmed could be lost, or people should know."""


class Fault(NamedTuple):
    """One thing that is not as it must be.

    Args:
        subject: The stream that it is about; empty for the servers.
        problem: What is wrong.
        fix: What to do about it.
        weight: How much it matters.
    """

    subject: str
    problem: str
    fix: str
    weight: FaultWeight = "unusable"

    def prevents_run(self, durability: Durability) -> bool:
        """Return whether nothing may run with it."""
        return self.weight == "unusable" or (self.weight == "unsafe" and durability == "full")

    def __str__(self) -> str:
        subject = f"{self.subject}: " if self.subject else ""
        return f"{subject}{self.problem}\n    fix: {self.fix}"
