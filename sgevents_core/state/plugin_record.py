"""The record of one plugin, which changes only by its own methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import BEGINNING, Progress

PluginState: TypeAlias = Literal["active", "held", "paused", "not started"]
"""Whether a plugin is called, waits for a retry, waits for a person, or waits for its start."""


@dataclass(slots=True)
class PluginRecord:
    """The ledger's record of one plugin.

    Args:
        name: The plugin's name.
        lane: The lane it belongs to.
        progress: Its progress; meaningful while `apart`.
        apart: Whether it is separate from its lane (held, paused, catching up).
        state: See `PluginState`.
        reason: Why it is held or paused or has not started, for people.
        retry_at: When a hold ends, in seconds since 1970; 0 otherwise.
        failures: Failures in a row.

    Only its own methods change it; other code reads its fields.
    """

    name: str
    lane: str
    progress: Progress = BEGINNING
    apart: bool = False
    state: PluginState = "active"
    reason: str = ""
    retry_at: float = 0.0
    failures: int = 0

    @property
    def cursor(self) -> int:
        """`seq` of the last event finished for it; meaningful while `apart`."""
        return self.progress.finished

    @property
    def hangs(self) -> bool:
        """Whether it waits for a call that timed out and still runs: a hold without an end."""
        return self.state == "held" and not self.retry_at

    def pause(self, reason: str) -> None:
        """Pause it until a person resumes it."""
        self.state, self.reason, self.retry_at = "paused", reason, 0.0

    def hold(self, until: float, reason: str) -> None:
        """Hold it: wait before it is called again.

        Args:
            until: The end of the hold, in seconds since 1970; 0 to wait until a hanging call
                returns.
            reason: Why, for people.
        """
        self.state, self.reason, self.retry_at = "held", reason, until

    def resume(self) -> None:
        """Make it active again after a hold, a pause or the wait for its start."""
        self.state, self.reason, self.retry_at = "active", "", 0.0

    def resume_afresh(self) -> None:
        """Resume it, and reset its count of failures in a row."""
        self.resume()
        self.end_failures()

    def count_failure(self) -> None:
        """Count one more event in a row that it failed on for good."""
        self.failures += 1

    def end_failures(self) -> None:
        """Reset the count of failures in a row after a success."""
        self.failures = 0

    def fail_to_start(self, error: str) -> None:
        """Wait for the next start because its `startup` failed; a paused plugin stays paused.

        A held one does not stay held: a hold promises that the plugin will be called again.
        """
        if self.state != "paused":
            self.state, self.retry_at = "not started", 0.0
            self.reason = f"its startup failed: {error}"

    def leave_lane(self, lane: Progress) -> None:
        """Separate from the lane at the lane's position; do nothing if it is separate already."""
        if not self.apart:
            self.stop_at(lane.of(self.name))

    def stop_at(self, progress: Progress) -> None:
        """Separate from its lane, at its own progress or a given one, whichever is later."""
        self.progress = self.progress.joined(progress) if self.apart else progress
        self.apart = True

    def finish(self, seq: int) -> None:
        """Record an event as finished."""
        self.progress = Progress(seq)

    def finish_callback(self, key: CallKey) -> None:
        """Record a callback as finished for the current event."""
        self.progress = self.progress.with_done(key)

    def skip_to(self, progress: Progress) -> None:
        """Continue at a given progress, because the events before it are no longer kept."""
        self.progress = progress

    def is_level_with(self, lane: Progress) -> bool:
        """Return whether it is at the same position as its lane, between two events."""
        return self.progress == lane and not lane.done

    def rejoin_lane(self) -> None:
        """Rejoin its lane; it must be level with it."""
        self.apart = False
