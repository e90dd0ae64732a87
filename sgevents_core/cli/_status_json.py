"""The output of `sgevents status --json`: times as ISO 8601, null for missing values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sgevents_core.cli.printing import iso
from sgevents_core.state.pulse import STALE_AFTER

if TYPE_CHECKING:
    from sgevents_core.hosts.presence import HostsOverview
    from sgevents_core.observe.lasting_failure import LastingFailure
    from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview
    from sgevents_core.state.feed_values import SetAside
    from sgevents_core.state.pulse import ProcessLane, RunningWorker


def overview_json(overview: Overview | None, now: float) -> dict[str, Any]:
    """Return the overview of a state as JSON values: times as ISO 8601, null for missing values."""
    if overview is None:
        empty_fields: dict[str, Any] = {"daemon": None, "events": 0, "feed": None}
        return {
            "running": False,
            **empty_fields,
            "needs": [],
            "plugins": [],
            "set_aside": [],
            "hosts": None,
            "reload": None,
        }
    return {
        "running": overview.pid is not None,
        "daemon": _daemon_json(overview, now),
        "events": overview.events,
        "feed": None if overview.feed is None else _feed_json(overview.feed),
        "needs": [
            {"kind": need.kind, "plugin": need.plugin or None, "text": need.text, "fix": need.fix}
            for need in overview.needs(now)
        ],
        "plugins": [_plugin_json(need) for need in overview.plugins],
        "set_aside": [set_aside_json(need) for need in overview.set_aside],
        "hosts": _hosts_json(overview.hosts),
        "reload": reload_json(overview.hosts),
    }


def _hosts_json(hosts: HostsOverview | None) -> list[dict[str, Any]] | None:
    """Return the hosts that share the state, as JSON values; None if only this one works at it."""
    if hosts is None:
        return None
    return [
        {
            "host": host_name,
            "since": iso(since),
            "differs": hosts.differences.get(host_name),
            "feed": any(work.host == host_name and not work.lane_name for work in hosts.work),
            "lanes": [
                {"lane": work.lane_name, "since": iso(work.since)}
                for work in hosts.work
                if work.host == host_name and work.lane_name
            ],
        }
        for host_name, since in hosts.hosts.items()
    ]


def reload_json(hosts: HostsOverview | None) -> dict[str, Any] | None:
    """Return how far a reload of all hosts is, as JSON values; None if there is none now."""
    wanted = None if hosts is None or not hosts.rolls else hosts.wanted
    if wanted is None:
        return None
    return {
        "asked_on": wanted.asked_on,
        "asked_at": iso(wanted.asked_at),
        "reloading": wanted.reloading or None,
        "waiting": list(wanted.waiting),
        "stopped_on": wanted.stopped_on or None,
        "reason": wanted.reason or None,
    }


def set_aside_json(set_aside: SetAside) -> dict[str, Any]:
    """Return an event that is set aside, as JSON values."""
    return {
        "event": set_aside.event,
        "reason": set_aside.reason,
        "where": set_aside.where,
        "at": iso(set_aside.at),
    }


def _daemon_json(overview: Overview, now: float) -> dict[str, Any] | None:
    if overview.pid is None:
        return None
    pulse = overview.pulse
    return {
        "pid": overview.pid,
        "host": overview.host,
        "version": overview.version or None,
        "started": iso(overview.started),
        "moves": pulse is not None and now - pulse.at <= STALE_AFTER,
        "site_error": _failure_json(pulse.site if pulse else None),
        "state_error": _failure_json(pulse.journal if pulse else None),
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
        "blocked": [
            {
                "lane": blocked.lane,
                "strand": blocked.strand,
                "event_id": blocked.event_id,
                "plugin": blocked.plugin or None,
                "callback": blocked.callback or None,
            }
            for blocked in (pulse.blocked if pulse else ())
        ],
        "lanes": [_lane_json(lane) for lane in (pulse.process_lanes if pulse else ())],
        "slow": [
            {
                "lane": slow.lane,
                "plugin": slow.plugin,
                "ended_workers": slow.ended_workers,
                "retry_at": iso(slow.retry_at),
            }
            for slow in (pulse.slow if pulse else ())
        ],
    }


def _lane_json(lane: ProcessLane) -> dict[str, Any]:
    return {
        "name": lane.lane,
        "trouble": lane.trouble or None,
        "retry_at": iso(lane.retry_at) if lane.retry_at else None,
        "workers": [_worker_json(worker) for worker in lane.workers],
    }


def _worker_json(worker: RunningWorker) -> dict[str, Any]:
    call = worker.call
    return {
        "number": worker.number,
        "state": worker.state,
        "pid": worker.pid,
        "memory_bytes": worker.memory or None,
        "restarts": worker.restarts,
        "plugin": call.plugin if call else None,
        "callback": call.callback if call else None,
        "event_id": (call.event_id or None) if call else None,
        "since": iso(call.since) if call else None,
        "trouble": worker.trouble or None,
    }


def _failure_json(failure: LastingFailure | None) -> dict[str, Any] | None:
    return None if failure is None else {"error": failure.error, "since": iso(failure.since)}


def _feed_json(feed: FeedOverview) -> dict[str, Any]:
    has_parked = feed.parked > 0
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
        "parked_first": feed.parked_first if has_parked else None,
        "parked_last": feed.parked_last if has_parked else None,
        "parked_since": iso(feed.parked_since) if has_parked else None,
    }


def _plugin_json(plugin: PluginOverview) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "lane": plugin.lane,
        "state": plugin.state,
        "reason": plugin.reason or None,
        "behind": plugin.behind,
        "batches": plugin.batches,
        "batched": plugin.batched,
        "behind_s": round(plugin.behind_s, 3) if plugin.behind else None,
        "retry_in_s": round(plugin.retry_in_s, 3) if plugin.retry_in_s else None,
        "dead_letters": plugin.dead_letters,
        "failures": plugin.failures,
        "last_error": plugin.last_error or None,
        "hangs": plugin.hangs,
        "deferred": plugin.deferred,
        "next_deferred_in_s": round(plugin.next_deferred_in_s, 3) if plugin.deferred else None,
    }
