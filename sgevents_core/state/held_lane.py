"""A lane that this process has taken: only steps with its fence are accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sgevents_core.state.protocols import LaneWriter
from sgevents_core.state.steps import Step


@dataclass(frozen=True, slots=True)
class HeldLane:
    """A lane that was taken, until somebody else takes it.

    Args:
        name: The lane's name.
        fence: Its newest fence, when it was taken.
        writer: The connection of the thread that took it.
        is_new: Whether it was never taken before, so that it has no place in the journal yet.
        may_begin: Says whether a call may begin right now; None if it always may.
    """

    name: str
    fence: int
    writer: LaneWriter
    is_new: bool = False
    may_begin: Callable[[], bool] | None = None

    @classmethod
    def take(cls, lane_name: str, lane_writer: LaneWriter) -> HeldLane:
        """Take a lane; whoever had it can record nothing more.

        Raises:
            StateError: The state cannot be written.
        """
        is_new = lane_writer.lane_progress(lane_name) is None
        return cls(lane_name, lane_writer.take_lane(lane_name), lane_writer, is_new)

    def record(self, step: Step) -> int:
        """Write one step, and return the number of its failure, 0 if it has none.

        Raises:
            StaleWriter: Somebody else has taken the lane; nothing was written.
            StateError: It cannot be written.
        """
        return self.writer.record(self.name, self.fence, step)
