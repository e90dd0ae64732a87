"""An overview of a state for people: the feed's progress, the plugins' backlogs, failures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sgevents_core.errors import StateError
from sgevents_core.hosts.presence import HostsOverview, read_hosts
from sgevents_core.printable import counted
from sgevents_core.reading.daemon_standing import daemon_process
from sgevents_core.state import lock
from sgevents_core.state.attention import (
    FeedTrouble,
    Need,
    ShownNeed,
    attention_needs,
    daemon_needs,
    other_files_need,
    plugin_needs,
    refused_reload_need,
    stopped_reload_need,
)
from sgevents_core.state.deferred import DeferredCount
from sgevents_core.state.feed_values import FeedRecord, SetAside
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord, StrandRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.protocols import Reader
from sgevents_core.state.pulse import Pulse, read_pulse
from sgevents_core.state.running import read_running_daemon
from sgevents_core.state.strands import STRANDS


@dataclass(frozen=True, slots=True)
class FeedOverview:
    """The progress of the feed.

    Args:
        newest_id: Highest id read from the site.
        complete_to: The id up to which the feed waits for no missing id.
        proved_to: The id up to which an audit has shown that nothing is missing; 0 before the
            first.
        proved_at: The site's clock at that audit, in seconds since 1970.
        waiting: The number of ids that the feed still waits for.
        waiting_ranges: The number of ranges they form.
        given_up: The number of ids that only audits still look for.
        answered_s_ago: Seconds since the site was last known to answer.
        rewound: Why the feed has stopped; empty if it has not.
        parked: How many rows arrived late by the thousand and await a decision.
        parked_first: The lowest id of these; 0 if there are none.
        parked_last: The highest id.
        parked_since: When the first of them were parked, in seconds since 1970 on the site's clock.
    """

    newest_id: int
    complete_to: int
    proved_to: int
    proved_at: int
    waiting: int
    waiting_ranges: int
    given_up: int
    answered_s_ago: float
    rewound: str
    parked: int = 0
    parked_first: int = 0
    parked_last: int = 0
    parked_since: int = 0


@dataclass(frozen=True, slots=True)
class PluginOverview:
    """The state of one plugin.

    Args:
        name: Its name.
        lane: Its lane.
        state: `active`, `catching up`, `held`, `paused`, `disabled`, `not started`, or `not loaded`
            by the running daemon.
        reason: Why it is held or paused.
        behind: The number of events in the journal that the plugin has not finished.
        behind_s: Age of the oldest of them, in seconds; 0 if there is none.
        retry_in_s: Seconds until a held plugin is called again.
        dead_letters: The number of its dead letters.
        failures: The number of events in a row that it failed on.
        last_error: Its newest failure, in one line.
        deferred: The number of calls that its callbacks have put off.
        next_deferred_in_s: Seconds until the next of them is due; 0 if it is, or there is none.
        hangs: Whether the plugin is held until a call that exceeded its `timeout` has returned.
        batches: The number of its batches whose call has not ended.
        batched: The number of events in them.
    """

    name: str
    lane: str
    state: str
    reason: str
    behind: int
    behind_s: float
    retry_in_s: float
    dead_letters: int
    failures: int
    last_error: str
    hangs: bool = False
    deferred: int = 0
    next_deferred_in_s: float = 0.0
    batches: int = 0
    batched: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """A whole state, for people.

    Args:
        pid: Process id of the daemon that runs on it; None if none does.
        host: That process's machine.
        events: How many events the journal holds.
        version: The daemon's version of sgevents-core; empty if unknown.
        started: When the daemon began its work, in seconds since 1970; 0 if unknown.
        feed: The progress of the feed; None before the site's first answer.
        plugins: All plugins ever enabled, by lane and name.
        set_aside: Events that cannot be stored or read, while everything else continues.
    """

    pid: int | None
    host: str
    events: int
    feed: FeedOverview | None
    plugins: tuple[PluginOverview, ...]
    set_aside: tuple[SetAside, ...] = ()
    version: str = ""
    started: float = 0.0
    refused: str = ""
    """Why the running daemon refused the last reload; empty if it was not refused."""
    pulse: Pulse | None = None
    """The daemon's pulse; None if no daemon runs or it has not written one."""
    journal_end: int = 0
    """The place of the last event in the journal."""
    hosts: HostsOverview | None = None
    """The hosts that share the state; None if only this one works at it."""

    @property
    def feed_trouble(self) -> FeedTrouble:
        """The recorded trouble of the feed."""
        feed = self.feed
        aside_ids = [plugin.event for plugin in self.set_aside]
        if feed is None:
            return FeedTrouble(names_aside=aside_ids)
        parked_rows = (feed.parked, feed.parked_first, feed.parked_last)
        return FeedTrouble(feed.rewound, *parked_rows, aside_ids)

    def needs(self, daemon_pulse: float) -> list[Need | ShownNeed]:
        """Return the conditions that need a person, the most urgent first.

        Args:
            daemon_pulse: The time, in seconds since 1970.
        """
        needs: list[Need | ShownNeed] = [*daemon_needs(self.pid, self.pulse, daemon_pulse)]
        needs += attention_needs(self.pulse, self.feed_trouble, daemon_pulse)
        needs += [refused_reload_need(self.refused)] if self.refused else []
        needs += [] if self.hosts is None else _hosts_needs(self.hosts)
        for plugin in self.plugins:
            needs += plugin_needs(
                plugin.name,
                plugin_state=plugin.state,
                reason_text=plugin.reason,
                letter_count=plugin.dead_letters,
            )
        return sorted(needs, key=lambda need: need.kind == "dead_letters")  # they can wait


def read_overview(folder: Path, enabled_plugins: frozenset[str]) -> Overview | None:
    """Return the overview of a state; None if no daemon has run on it yet. Change nothing.

    Args:
        folder: The state's folder.
        enabled_plugins: Names of the plugins that the config enables.

    Raises:
        StateError: The state cannot be read.
    """
    if not open_state(folder).is_made():
        return None
    lock_holder = lock.find_holder(folder) or {}
    daemon = read_running_daemon(folder)
    loaded_plugins = None if daemon is None else frozenset(daemon.plugins)
    state = open_state(folder).reader()
    try:
        if not state.is_ready:
            return None
        feed = state.load_feed()
        process_id = daemon_process(lock_holder)
        daemon_pulse = read_pulse(folder, process_id)
        return Overview(
            pid=process_id,
            version=daemon_pulse.version if daemon_pulse else "",
            started=daemon_pulse.started if daemon_pulse else 0.0,
            refused=daemon.refusal.reason if daemon and daemon.refusal else "",
            pulse=daemon_pulse,
            host=str(lock_holder.get("host", "")),
            journal_end=state.end(),
            events=state.end() - state.lowest() + 1,
            feed=_feed_overview(feed) if feed else None,
            plugins=_plugin_overviews(state, enabled_plugins, loaded_plugins),
            set_aside=tuple(state.set_aside_events()),
            hosts=_hosts_overview(folder),
        )
    finally:
        state.close()


def _hosts_needs(hosts: HostsOverview) -> Iterator[ShownNeed]:
    """Yield what needs a person because hosts do not have the same files."""
    wanted = hosts.wanted
    if wanted is None:
        return
    is_stopped = hosts.rolls and bool(wanted.stopped_on)
    if is_stopped:
        yield stopped_reload_need(wanted.stopped_on, wanted.reason)
    for host_name, difference in hosts.differences.items():
        is_about_to_reload = hosts.rolls and not is_stopped and host_name in wanted.waiting
        if host_name != wanted.stopped_on and not is_about_to_reload:
            yield other_files_need(host_name, difference)


def _hosts_overview(folder: Path) -> HostsOverview | None:
    state = open_state(folder)
    try:
        leases, notes = state.leases(), state.host_notes()
        return None if leases is None or notes is None else read_hosts(leases, notes)
    except StateError as error:  # the servers do not answer, and the rest is known
        return HostsOverview({}, (), str(error))


def _feed_overview(record: FeedRecord) -> FeedOverview:
    feed_state = record.state
    waited_for = [missing for missing in record.missing if missing.hot]
    given_up = [missing for missing in record.missing if not missing.hot]
    return FeedOverview(
        newest_id=feed_state.frontier,
        complete_to=min(
            (missing_range.first - 1 for missing_range in waited_for), default=feed_state.frontier
        ),
        proved_to=feed_state.proved_id,
        proved_at=feed_state.proved_at,
        waiting=sum(missing_range.last - missing_range.first + 1 for missing_range in waited_for),
        waiting_ranges=len(waited_for),
        given_up=sum(missing_range.last - missing_range.first + 1 for missing_range in given_up),
        answered_s_ago=max(time.time() - feed_state.answered, 0.0),
        rewound=feed_state.rewound,
        parked=sum(parked_range.last - parked_range.first + 1 for parked_range in record.parked),
        parked_first=min((parked_range.first for parked_range in record.parked), default=0),
        parked_last=max((parked_range.last for parked_range in record.parked), default=0),
        parked_since=min((parked_range.at for parked_range in record.parked), default=0),
    )


def _plugin_overviews(
    state: Reader, enabled_plugins: frozenset[str], loaded_plugins: frozenset[str] | None
) -> tuple[PluginOverview, ...]:
    journal_end = state.end()
    letter_counts = state.dead_letter_counts()
    deferred_counts = state.deferred_counts()
    batches = state.batches()
    overviews = []
    for record in state.plugins().values():
        lane_progress = state.lane_progress(record.lane) or BEGINNING
        progress = record.progress if record.apart else lane_progress
        cursors = [progress.finished, *(strand.cursor for strand in record.strands.values())]
        progress = Progress(min(cursors))
        shown_state = _shown_state(record, enabled_plugins, loaded_plugins)
        own_batches = [batch.events for batch in batches if batch.plugin == record.name]
        overview = _plugin_overview(
            record,
            progress,
            journal_end,
            state,
            dead_letters=letter_counts.get(record.name, (0, "")),
            shown_state=shown_state,
            deferred_count=deferred_counts.get(record.name, DeferredCount(0, 0.0)),
        )
        overviews.append(replace(overview, batches=len(own_batches), batched=sum(own_batches)))
    return tuple(sorted(overviews, key=lambda plugin: (plugin.lane, plugin.name)))


def _plugin_overview(
    record: PluginRecord,
    progress: Progress,
    journal_end: int,
    state: Reader,
    *,
    dead_letters: tuple[int, str],
    shown_state: str,
    deferred_count: DeferredCount,
) -> PluginOverview:
    oldest_created = state.created_after(progress.finished)
    return PluginOverview(
        name=record.name,
        lane=record.lane,
        state=shown_state,
        reason=_reason(record),
        behind=progress.behind(journal_end),
        behind_s=0.0 if oldest_created is None else max(time.time() - oldest_created, 0.0),
        retry_in_s=max(_retry_at(record) - time.time(), 0.0),
        dead_letters=dead_letters[0],
        failures=record.failures,
        last_error=dead_letters[1],
        hangs=record.hangs or any(strand.hangs for strand in record.strands.values()),
        deferred=deferred_count.calls,
        next_deferred_in_s=max(deferred_count.next_due_at - time.time(), 0.0),
    )


def _held_strands(record: PluginRecord) -> list[StrandRecord]:
    """Return the strands in which a plugin is held while it continues in others."""
    if record.state != "active":
        return []
    return [strand for strand in record.strands.values() if strand.is_held]


def _reason(record: PluginRecord) -> str:
    """Return why a plugin is held or paused; empty if it is not."""
    held = _held_strands(record)
    if not held:
        return record.reason
    return f"in {counted(len(held), 'strand')} of {STRANDS}: {held[0].hold_reason}"


def _retry_at(record: PluginRecord) -> float:
    """Return when a plugin is called again, in seconds since 1970; 0 if it is not held."""
    if record.state == "held":
        return record.retry_at
    return min((strand.retry_at for strand in _held_strands(record)), default=0.0)


def _shown_state(
    record: PluginRecord, enabled_plugins: frozenset[str], loaded_plugins: frozenset[str] | None
) -> str:
    """Return a plugin's state; `loaded_plugins` are those of the daemon, None if none runs."""
    if record.name not in enabled_plugins:
        return "disabled"
    if record.state in {"held", "paused"}:
        return record.state
    if _held_strands(record):
        return "held"
    if loaded_plugins is not None and record.name not in loaded_plugins:
        return "not loaded"
    if record.state == "not started":
        return record.state
    return "catching up" if record.apart or record.strands else record.state
