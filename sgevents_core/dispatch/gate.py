"""A gate of a strand: what can hold back a callback although it is its turn."""

from __future__ import annotations

from typing import Protocol

from sgevents_core.dispatch.caller import Call
from sgevents_core.dispatch.lane_plugin import LanePlugin


class Gate(Protocol):
    """A gate that can hold back a callback of a divided lane although it is its turn."""

    def leaves(self, call: Call) -> bool:
        """Return whether the plugin leaves the strand before this call: paused, or it must wait."""

    def admits(self, lane_plugin: LanePlugin) -> bool:
        """Return whether another call of the plugin may run; if not, the strand is put aside."""

    def over(self, lane_plugin: LanePlugin) -> None:
        """Note that an admitted call is over."""
