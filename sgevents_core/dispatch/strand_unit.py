"""One strand of a divided lane as a unit of work, and the gate that can hold back its calls."""

from __future__ import annotations

from collections.abc import Callable

from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.caller import Call
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import Strand


class StrandGate:
    """The gate that holds back callbacks in one strand: for a pause, or for `concurrency`.

    Args:
        strand: The strand.
        note_pause: Called after a call whose plugin is paused.
        let_hang: Called after a call that hangs, with the plugin in the strand.
    """

    def __init__(
        self,
        strand: Strand,
        note_pause: Callable[[], None],
        let_hang: Callable[[LanePlugin], None],
    ) -> None:
        self._strand = strand
        self._note_pause = note_pause
        self._let_hang = let_hang
        self.waits_for: Admission | None = None
        """The condition that the strand waits for before it continues."""

    def leaves(self, call: Call) -> bool:
        """Return whether the plugin was paused: it leaves the strand before this call."""
        if call.lane_plugin.record.state in {"active", "held"}:
            return False
        self._strand.leave_before(call)
        return True

    def admits(self, lane_plugin: LanePlugin) -> bool:
        """Return whether another call of the plugin may run; if not, the strand waits for it."""
        admission = lane_plugin.admission
        if admission is None or admission.take():
            return True
        self.waits_for = admission
        return False

    def over(self, lane_plugin: LanePlugin) -> None:
        """Give back the slot of an admitted call, unless the call hangs and keeps it."""
        if lane_plugin.record.state == "paused":
            self._note_pause()
        if lane_plugin.hung is not None:
            self._let_hang(lane_plugin)
        elif lane_plugin.admission is not None:
            lane_plugin.admission.give_back()


class StrandUnit:
    """One strand of a divided lane, with the state that its next worker needs.

    Args:
        strand: The strand.
        gate: The gate that holds back callbacks in it.
    """

    def __init__(self, strand: Strand, gate: StrandGate) -> None:
        self.strand = strand
        self.gate = gate
        self.pauses_seen = -1
        self.has_apart = True
