"""What is wrong with servers and streams, and how much it matters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from sgevents_core.choices import Durability
from sgevents_core.errors import ClusterNotReadyError

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


def refuse_faults(broker_name: str, faults: Iterable[Fault], durability: Durability) -> None:
    """Refuse to run with faults that matter.

    Args:
        broker_name: The servers, for people.
        faults: What is wrong.
        durability: `durability` in `[state]`.

    Raises:
        ClusterNotReadyError: One of them prevents a run.
    """
    listing = "\n".join(str(fault) for fault in faults if fault.prevents_run(durability))
    if listing:
        raise ClusterNotReadyError(path=broker_name, listing=listing)
