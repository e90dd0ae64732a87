"""The output of `sgevents status --json`: times as ISO 8601, null for missing values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sgevents_core.cli.printing import iso
from sgevents_core.state.pulse import STALE

if TYPE_CHECKING:
    from sgevents_core.observe.lasting import LastingFailure
    from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview
    from sgevents_core.state.feed_values import SetAside


def as_json_of(found: Overview | None, now: float) -> dict[str, Any]:
    """Return the overview of a state as JSON values: times as ISO 8601, null for missing values."""
    if found is None:
        nothing: dict[str, Any] = {"daemon": None, "events": 0, "feed": None}
        return {"running": False, **nothing, "needs": [], "plugins": [], "set_aside": []}
    return {
        "running": found.pid is not None,
        "daemon": _daemon_json(found, now),
        "events": found.events,
        "feed": None if found.feed is None else _feed_json(found.feed),
        "needs": [
            {"kind": one.kind, "plugin": one.plugin or None, "text": one.text, "fix": one.fix}
            for one in found.needs(now)
        ],
        "plugins": [_plugin_json(one) for one in found.plugins],
        "set_aside": [aside_json(one) for one in found.set_aside],
    }


def aside_json(one: SetAside) -> dict[str, Any]:
    """Return an event that is set aside, as JSON values."""
    return {"event": one.event, "reason": one.reason, "where": one.where, "at": iso(one.at)}


def _daemon_json(found: Overview, now: float) -> dict[str, Any] | None:
    if found.pid is None:
        return None
    pulse = found.pulse
    return {
        "pid": found.pid,
        "host": found.host,
        "version": found.version or None,
        "started": iso(found.started),
        "moves": pulse is not None and now - pulse.at <= STALE,
        "site_error": _lasting_json(pulse.site if pulse else None),
        "state_error": _lasting_json(pulse.journal if pulse else None),
        "calls": [
            {
                "lane": call.lane,
                "plugin": call.plugin,
                "callback": call.callback,
                "event_id": call.event_id or None,
                "since": iso(call.since),
            }
            for call in (pulse.calls if pulse else ())
        ],
        "hung": list(pulse.hung) if pulse else [],
    }


def _lasting_json(trouble: LastingFailure | None) -> dict[str, Any] | None:
    return None if trouble is None else {"error": trouble.error, "since": iso(trouble.since)}


def _feed_json(feed: FeedOverview) -> dict[str, Any]:
    parked = feed.parked > 0
    return {
        "newest_id": feed.newest_id,
        "complete_to": feed.complete_to,
        "proved_to": feed.proved_to or None,
        "proved_at": iso(feed.proved_at),
        "waiting": feed.waiting,
        "waiting_ranges": feed.waiting_ranges,
        "given_up": feed.given_up,
        "answered_s_ago": round(feed.answered_s_ago, 3),
        "rewound": feed.rewound or None,
        "parked": feed.parked,
        "parked_first": feed.parked_first if parked else None,
        "parked_last": feed.parked_last if parked else None,
        "parked_since": iso(feed.parked_since) if parked else None,
    }


def _plugin_json(one: PluginOverview) -> dict[str, Any]:
    return {
        "name": one.name,
        "lane": one.lane,
        "state": one.state,
        "reason": one.reason or None,
        "behind": one.behind,
        "behind_s": round(one.behind_s, 3) if one.behind else None,
        "retry_in_s": round(one.retry_in_s, 3) if one.retry_in_s else None,
        "dead_letters": one.dead_letters,
        "failures": one.failures,
        "last_error": one.last_error or None,
        "hangs": one.hangs,
    }
