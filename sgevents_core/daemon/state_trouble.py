"""Why this process cannot write to the state right now, whichever of its parts has noticed it."""

from __future__ import annotations

from collections.abc import Iterable

from sgevents_core.daemon.parts import Parts
from sgevents_core.observe.lasting_failure import LastingFailure


def find_state_trouble(parts: Parts) -> LastingFailure | None:
    """Return the trouble that has lasted longest; None if there is none. For any thread."""
    return _longest(
        [
            parts.following.journal_trouble,
            *(lane.state_trouble for lane in list(parts.lanes)),
            parts.work.trouble,
        ]
    )


def _longest(troubles: Iterable[LastingFailure | None]) -> LastingFailure | None:
    lasting = [trouble for trouble in troubles if trouble is not None]
    return min(lasting, key=lambda trouble: trouble.since, default=None)
