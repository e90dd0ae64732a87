"""The work that is left when a daemon ends, for people."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from sgevents_core.state.protocols import Reader


class Remains(NamedTuple):
    """The work left after a drain.

    Args:
        waiting_ids: Ids still waited for.
        stopped_plugins: Plugins that are held, paused or not started, with the reason for each.
        waiting_batches: Batches whose call has not ended: it failed, or their plugin is stopped.
    """

    waiting_ids: int = 0
    stopped_plugins: tuple[tuple[str, str, str], ...] = ()
    waiting_batches: int = 0


def describe_remains(state_reader: Reader, loaded_names: Container[str]) -> Remains:
    """Return the work that a state still holds.

    Args:
        state_reader: The state.
        loaded_names: The plugins that were loaded.
    """
    feed_state = state_reader.load_feed()
    missing_ranges = feed_state.missing if feed_state else []
    stopped_plugins = tuple(
        (record.name, record.state, record.reason)
        for record in state_reader.plugins().values()
        if record.state in {"held", "paused"}
        or (record.state == "not started" and record.name in loaded_names)
    )
    return Remains(
        sum(missing.last - missing.first + 1 for missing in missing_ranges if missing.hot),
        stopped_plugins,
        len(state_reader.batches()),
    )
