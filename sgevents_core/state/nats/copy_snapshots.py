"""Snapshots of the state, from which a copy is made anew."""

from __future__ import annotations

from sgevents_core.errors import FrontCut, StreamLost
from sgevents_core.state.nats.copy import Copy


def raise_too_far_behind(copy: Copy, front_cut: FrontCut) -> None:
    """Raise that the logs no longer hold what the copy lacks.

    Raises:
        StreamLost: Always.
    """
    reason_text = f"it begins with message {front_cut.first}, and the copy needs {front_cut.wanted}"
    raise StreamLost(path=str(copy.folder), stream=front_cut.stream, reason=reason_text)
