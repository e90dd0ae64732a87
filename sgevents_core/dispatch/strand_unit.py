"""One strand of a divided lane as a unit of work, and the gate that can hold back its calls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from sgevents_core.calling.deaths import FIRST_WAIT
from sgevents_core.dispatch.admission import Admission
from sgevents_core.dispatch.caller import Call
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.strand import Strand
from sgevents_core.state.strands import STRANDS

WHOLE_LANE_UNIT: Final = STRANDS
"""The unit of work of plugins that are separate from the lane as a whole."""
ERRANDS_UNIT: Final = STRANDS + 1
"""The unit of work of people's requests."""
NO_CALL_SLOT: Final = STRANDS + 2
"""The unit an errand waits for while its plugin is at its limit of running calls."""


class StrandGate:
    """The gate that holds back callbacks in one strand.

    It does so for a pause, for `concurrency`, and where a plugin has to wait because it keeps
    ending worker processes or hangs in as many calls as it may have: then the strand's worker goes
    on with the others.

    Args:
        strand: The strand.
        unit: Its unit of work.
        note_pause: Called after a call whose plugin is paused.
        let_hang: Called after a call that hangs, with the plugin in the strand.
        note_free: Called once a slow plugin may be called again in other strands.
    """

    def __init__(
        self,
        strand: Strand,
        unit: int,
        note_pause: Callable[[], None],
        let_hang: Callable[[LanePlugin], None],
        note_free: Callable[[], None],
    ) -> None:
        self._strand = strand
        self._unit = unit
        self._note_free = note_free
        self._note_pause = note_pause
        self._let_hang = let_hang
        self.waits_for: Admission | None = None
        """The condition that the strand waits for before it continues."""

    def leaves(self, call: Call) -> bool:
        """Return whether the plugin leaves the strand before this call: paused, or it must wait."""
        lane_plugin = call.lane_plugin
        if lane_plugin.record.state in {"active", "held"}:
            if lane_plugin.admission is None and not lane_plugin.ended_workers.is_slow:
                return False
            current_time = time.monotonic()
            wait_seconds, reason = lane_plugin.extra_wait(current_time)
            if not wait_seconds:
                return False
            lane_plugin.hold(
                reason,
                FIRST_WAIT if wait_seconds == math.inf else wait_seconds,
                current_time=current_time,
                host_time=time.time(),
            )
        self._strand.leave_before(call)
        return True

    def admits(self, lane_plugin: LanePlugin) -> bool:
        """Return whether another call of the plugin may run now.

        If `concurrency` keeps it from that, the strand waits; a slow plugin waits alone.
        """
        ended_workers = lane_plugin.ended_workers
        if ended_workers.is_slow and not ended_workers.begin_call(self._unit, time.monotonic()):
            return False
        admission = lane_plugin.admission
        if admission is None or admission.take():
            return True
        ended_workers.end_call(self._unit)
        if not admission.is_stuck:
            self.waits_for = admission
        return False

    def over(self, lane_plugin: LanePlugin) -> None:
        """Give back the slot of an admitted call, unless the call hangs and keeps it."""
        if lane_plugin.record.state == "paused":
            self._note_pause()
        if lane_plugin.ended_workers.end_call(self._unit):
            self._note_free()
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
        """How many pauses of the lane's plugins were noticed here."""
        self.has_apart = True
        """Whether any plugin may be separate from it."""
