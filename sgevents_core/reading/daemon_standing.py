"""Whether the daemon of a state runs and moves, read without opening the state itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sgevents_core.state import lock
from sgevents_core.state.attention import ShownNeed, daemon_needs
from sgevents_core.state.pulse import read_pulse


def daemon_process(lock_holder: Mapping[str, int | str]) -> int | None:
    """Return the process id of the daemon that holds a state's lock; None if no daemon does.

    Args:
        lock_holder: Who holds the lock, as it was noted; empty for nobody.
    """
    process_id = lock_holder.get("pid")
    is_daemon = "command" not in lock_holder
    return process_id if isinstance(process_id, int) and is_daemon else None


def read_daemon_need(state_folder: Path, current_time: float) -> ShownNeed | None:
    """Return why nobody carries out requests at the moment, and the fix; None if the daemon does.

    Args:
        state_folder: The state's folder.
        current_time: The time, in seconds since 1970.
    """
    process_id = daemon_process(lock.find_holder(state_folder) or {})
    daemon_pulse = read_pulse(state_folder, process_id)
    return next(daemon_needs(process_id, daemon_pulse, current_time), None)
