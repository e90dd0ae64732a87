"""`sgevents status`: the progress of feed and plugins, without asking the daemon or the site."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from sgevents_core.cli._status_json import overview_json
from sgevents_core.cli._status_workers import duration_text, print_workers
from sgevents_core.cli.printing import (
    cell,
    echo,
    echo_json,
    echo_line,
    read_without_secrets,
)
from sgevents_core.cli.root import config_option
from sgevents_core.cli.tables import new_table, print_table
from sgevents_core.printable import counted
from sgevents_core.state.pulse import STALE_AFTER, BlockedLane

if TYPE_CHECKING:
    from sgevents_core.hosts.presence import HostsOverview
    from sgevents_core.hosts.wanted import WantedVersion
    from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview


_STATE_COLOURS: Final = {
    "paused": "red",
    "not loaded": "red",
    "not started": "red",
    "held": "yellow",
    "catching up": "yellow",
}


HealthCheck: TypeAlias = Literal["live", "ready"]
_RELAXED_TEXT: Final = (
    "The NATS servers may lose in a power cut what they have confirmed: durability is relaxed."
)
READY_LIMIT: Final = 60.0
"""Seconds since the site's last answer for which a daemon counts as following it."""


@click.command()
@config_option
@click.option(
    "--check",
    "checked",
    type=click.Choice(["live", "ready"]),
    help="Exit with 1 unless the daemon runs and moves (live), or also follows the site (ready).",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def status(config: Path, checked: HealthCheck | None, as_json: bool) -> None:
    """Show how far everything has come, and what is wrong.

    Covers the daemon, the feed and every plugin: what runs, what is behind, and what needs a
    person, with the command that helps. Only reads the state, so it works whether or not the daemon
    runs.
    """
    from sgevents_core.reading.overview import read_overview

    settings = read_without_secrets(config)
    enabled_plugins = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    overview = read_overview(settings.state.path, enabled_plugins)
    failure_text = _check_failure(checked, overview, time.time()) if checked else ""
    if as_json:
        head_fields = {"version": 1, "site": settings.site.url, "state": str(settings.state.path)}
        head_fields["durability"] = settings.state.durability if settings.state.url else None
        echo_json({**head_fields, **overview_json(overview, time.time())})
    elif checked:
        echo_line(failure_text or f"{checked}: the daemon is fine")
    elif overview is None:
        echo_line(f"Nothing has run on {settings.state.path} yet: start with sgevents run.")
    else:
        _print_overview(settings.site.url, overview, time.time())
    if settings.state.url and settings.state.durability == "relaxed" and not (as_json or checked):
        echo_line(_RELAXED_TEXT)
    sys.exit(1 if failure_text else 0)


def _check_failure(checked: HealthCheck, overview: Overview | None, now: float) -> str:
    """Return why a daemon fails a check; empty if it passes.

    Args:
        checked: `live`: it runs and makes progress. `ready`: it also follows the site and can
            write.
        overview: The state's overview; None if no daemon has run on it.
        now: The time, in seconds since 1970.
    """
    not_live_text = _not_live(overview, now)
    if not_live_text or checked == "live" or overview is None:
        return not_live_text
    return _not_ready(overview, now)


def _not_live(overview: Overview | None, now: float) -> str:
    if overview is None or overview.pid is None:
        return "not live: no daemon runs"
    if overview.pulse is None:
        return "not live: the daemon has not started its work"
    still_seconds = now - overview.pulse.at
    return (
        f"not live: the daemon has not moved for {duration_text(still_seconds)}"
        if still_seconds > STALE_AFTER
        else ""
    )


def _not_ready(overview: Overview, now: float) -> str:
    if overview.feed is None:
        return "not ready: the site has not answered yet"
    if overview.feed.rewound:
        return f"not ready: the event log went backwards: {overview.feed.rewound}"
    lasting_troubles = (overview.pulse.site, overview.pulse.journal) if overview.pulse else ()
    for trouble in lasting_troubles:
        if trouble is not None and now - trouble.since > READY_LIMIT:
            return f"not ready for {duration_text(now - trouble.since)}: {trouble.error}"
    return ""


def _print_overview(site: str, overview: Overview, now: float) -> None:
    echo_line(f"{site}: the daemon is {_running_text(overview, now)}")
    for shown_line in (
        *_feed_lines(overview.feed, overview.events),
        *_call_lines(overview, now),
    ):
        echo_line(shown_line)
    if overview.plugins:
        echo()
        print_table(_plugins_table(overview.plugins))
        for plugin in overview.plugins:
            if plugin.reason or plugin.last_error:
                echo_line(f"{plugin.name}: {plugin.reason or plugin.last_error}")
            if plugin.deferred:
                echo_line(f"{plugin.name}: {_deferred_text(plugin)}")
    if overview.hosts is not None:
        echo()
        for shown_line in _host_lines(overview.hosts, now, is_running=overview.pid is not None):
            echo_line(shown_line)
    print_workers(overview.pulse, now)
    needs = overview.needs(now)
    echo()
    echo_line("What needs a person:" if needs else "Nothing needs a person.")
    for need in needs:
        echo_line(f"- {need.text}")
        echo_line(f"  to do: {need.fix}")


def _host_lines(hosts: HostsOverview, now: float, *, is_running: bool) -> list[str]:
    """Return a line for each host: since when it is there, and what it has since when."""
    if hosts.error:
        return [f"who works at what is not known: {hosts.error}"]
    lines = []
    for host_name, since in hosts.hosts.items():
        works = [
            f"{f'lane {work.lane_name}' if work.lane_name else 'the feed'} for "
            f"{duration_text(max(now - work.since, 0.0))}"
            for work in hosts.work
            if work.host == host_name
        ]
        work_text = ", ".join(works) or "nothing yet"
        lines.append(f"host {host_name}, for {duration_text(max(now - since, 0.0))}: {work_text}")
        if host_name in hosts.differences:
            lines.append(f"  differs from what is wanted: {hosts.differences[host_name]}")
    lines += [
        f"host {work.host} is gone or leaves, and still has {work.lane_name or 'the feed'}"
        for work in hosts.work
        if work.host not in hosts.hosts
    ]
    lines += [describe_roll(hosts.wanted, now)] if hosts.wanted is not None and hosts.rolls else []
    if not lines:
        advice = "" if is_running else ": start the daemon on one"
        lines = [f"no host works at this state now{advice}"]
    return lines


def describe_roll(wanted: WantedVersion, now: float) -> str:
    """Return how far a reload of all hosts is."""
    seconds_ago = duration_text(max(now - wanted.asked_at, 0.0))
    begun = f"reload asked for on {wanted.asked_on}, {seconds_ago} ago"
    if wanted.stopped_on:
        return f"{begun}: stopped at {wanted.stopped_on}"
    reloading = f"{wanted.reloading} reloads now" if wanted.reloading else "nobody reloads yet"
    next_hosts = [name for name in wanted.waiting if name != wanted.reloading]
    return f"{begun}: {reloading}" + (f", then {', '.join(next_hosts)}" if next_hosts else "")


def _running_text(overview: Overview, now: float) -> str:
    if not overview.pid:
        return "not running"
    running_text = f"running, process {overview.pid} on {overview.host}"
    if overview.pulse is None:
        return f"{running_text}; it has not started its work"
    running_text = (
        f"{running_text}, for {duration_text(now - overview.started)}, sgevents {overview.version}"
    )
    still_seconds = now - overview.pulse.at
    return (
        f"{running_text}; it has not moved for {duration_text(still_seconds)}"
        if still_seconds > STALE_AFTER
        else running_text
    )


def _call_lines(overview: Overview, now: float) -> list[str]:
    """Return a line for each running call, and for each task the daemon cannot do."""
    pulse = overview.pulse
    if pulse is None:
        return []
    shown_lines = [
        f"{what} for {duration_text(now - trouble.since)}: {trouble.error}"
        for what, trouble in (
            ("nothing could be written to the state", pulse.journal),
            ("the site has not answered", pulse.site),
        )
        if trouble
    ]
    shown_lines += [
        f"lane {call.lane}: {call.callback} of plugin {call.plugin} has been at event "
        f"{call.event_id} for {duration_text(now - call.since)}"
        for call in pulse.calls
    ]
    shown_lines += [_blocked_text(lane) for lane in pulse.blocked]
    return shown_lines


def _blocked_text(blocked: BlockedLane) -> str:
    """Return the event and callback that block a lane."""
    holder = ""
    if blocked.plugin:
        holder = f", which {blocked.callback} of plugin {blocked.plugin} has"
    return (
        f"lane {blocked.lane} takes in no more events until event {blocked.event_id} is finished"
        f"{holder} (strand {blocked.strand})"
    )


def _feed_lines(feed: FeedOverview | None, events: int) -> list[str]:
    if feed is None:
        return ["The site has not answered yet."]
    shown_lines = [
        f"newest event {feed.newest_id}, {events} in the journal, "
        f"the site answered {duration_text(feed.answered_s_ago)} ago",
        f"complete up to event {feed.complete_to}{_proved_text(feed)}",
    ]
    if feed.waiting:
        gap_count = counted(feed.waiting_ranges, "gap")
        shown_lines.append(f"waiting for {counted(feed.waiting, 'id')} in {gap_count}")
    return shown_lines


def _proved_text(feed: FeedOverview) -> str:
    if not feed.proved_to:
        return ", not audited yet"
    proved_at = datetime.fromtimestamp(feed.proved_at).astimezone()
    return f", proved up to {feed.proved_to} as of {proved_at:%Y-%m-%d %H:%M:%S}"


def _deferred_text(plugin: PluginOverview) -> str:
    """Return how many calls a plugin has put off, and when the next one is made."""
    calls_text = counted(plugin.deferred, "event")
    if not plugin.next_deferred_in_s:
        return f"its callbacks have put off {calls_text}; the next is due"
    wait_text = duration_text(plugin.next_deferred_in_s)
    return f"its callbacks have put off {calls_text}; the next comes again in {wait_text}"


def _plugins_table(plugins: tuple[PluginOverview, ...]) -> Any:
    table = new_table("plugin", "lane", "state", "behind", "dead letters")
    for plugin in plugins:
        behind_text = "-"
        if plugin.behind:
            behind_text = f"{counted(plugin.behind, 'event')}, {duration_text(plugin.behind_s)}"
        state_text = plugin.state
        if plugin.retry_in_s:
            state_text = f"{state_text}, again in {duration_text(plugin.retry_in_s)}"
        if plugin.batches:
            batches_text = counted(plugin.batches, "batch", "batches")
            state_text = f"{state_text}, {counted(plugin.batched, 'event')} in {batches_text}"
        colour = _STATE_COLOURS.get(plugin.state, "")
        cells = (plugin.name, plugin.lane, state_text, behind_text, str(plugin.dead_letters or "-"))
        table.add_row(*(cell(value) for value in cells), style=colour)
    return table
