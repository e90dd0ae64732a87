"""An overview of a state for people: the feed's progress, how far behind plugins are, failures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sgevents_core.state import lock
from sgevents_core.state.feed_values import FeedRecord, SetAside
from sgevents_core.state.needs import (
    FeedTrouble,
    Need,
    ShownNeed,
    daemon_needs,
    needs_of,
    not_reloaded,
    plugin_needs,
)
from sgevents_core.state.opening import open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import BEGINNING, Progress
from sgevents_core.state.protocols import Reader
from sgevents_core.state.pulse import Pulse, pulse_of
from sgevents_core.state.running import running


@dataclass(frozen=True, slots=True)
class FeedOverview:
    """The progress of the feed.

    Args:
        newest_id: Highest id read from the site.
        complete_to: The id up to which none is still waited for.
        proved_to: The id up to which an audit has shown that nothing is missing; 0 before the
            first.
        proved_at: The site's clock at that audit, in seconds since 1970.
        waiting: Ids still waited for.
        waiting_ranges: The number of ranges they form.
        given_up: Ids no longer waited for that audits still look for.
        answered_s_ago: Seconds since the site was last known to answer.
        rewound: Why the feed has stopped; empty if it has not.
        parked: Rows that arrived late by the thousand and await a decision.
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
        behind: The number of events in the journal that it has not finished.
        behind_s: Age of the oldest of them, in seconds; 0 if there is none.
        retry_in_s: Seconds until a held plugin is called again.
        dead_letters: How many it has.
        failures: How many events in a row it failed on.
        last_error: Its newest failure, in one line.
        hangs: Whether it is held until a call that exceeded its `timeout` has returned.
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
    """Why the running daemon refused the last reload; empty if it did not."""
    pulse: Pulse | None = None
    """The daemon's pulse; None if no daemon runs or it has not written one."""

    @property
    def feed_trouble(self) -> FeedTrouble:
        """The recorded trouble of the feed."""
        feed = self.feed
        aside = [one.event for one in self.set_aside]
        if feed is None:
            return FeedTrouble(set_aside=aside)
        parked = (feed.parked, feed.parked_first, feed.parked_last)
        return FeedTrouble(feed.rewound, *parked, aside)

    def needs(self, now: float) -> list[Need | ShownNeed]:
        """Return what needs a person, most urgent first.

        Args:
            now: The time, in seconds since 1970.
        """
        found: list[Need | ShownNeed] = [*daemon_needs(self.pid, self.pulse, now)]
        found += needs_of(self.pulse, self.feed_trouble, now)
        found += [not_reloaded(self.refused)] if self.refused else []
        for one in self.plugins:
            found += plugin_needs(
                one.name, state=one.state, reason=one.reason, dead_letters=one.dead_letters
            )
        return found


def overview(folder: Path, enabled: frozenset[str]) -> Overview | None:
    """Return the overview of a state; None if nothing has run on it yet. Change nothing.

    Args:
        folder: The state's folder.
        enabled: Names of the plugins that the config enables.

    Raises:
        StateError: The state cannot be read.
    """
    if not open_state(folder).is_made():
        return None
    holder = lock.holder(folder) or {}
    pid = holder.get("pid")
    daemon = running(folder)
    loaded = None if daemon is None else frozenset(daemon.plugins)
    state = open_state(folder).reader()
    try:
        if not state.made:
            return None
        feed = state.load_feed()
        process = pid if isinstance(pid, int) and "command" not in holder else None
        now = pulse_of(folder, process)
        return Overview(
            pid=process,
            version=now.version if now else "",
            started=now.started if now else 0.0,
            refused=daemon.refusal.reason if daemon and daemon.refusal else "",
            pulse=now,
            host=str(holder.get("host", "")),
            events=state.end() - state.lowest() + 1,
            feed=_feed(feed) if feed else None,
            plugins=_plugins(state, enabled, loaded),
            set_aside=tuple(state.aside()),
        )
    finally:
        state.close()


def _feed(record: FeedRecord) -> FeedOverview:
    state = record.state
    hot = [missing for missing in record.missing if missing.hot]
    cold = [missing for missing in record.missing if not missing.hot]
    return FeedOverview(
        newest_id=state.frontier,
        complete_to=min((m.first - 1 for m in hot), default=state.frontier),
        proved_to=state.proved_id,
        proved_at=state.proved_at,
        waiting=sum(m.last - m.first + 1 for m in hot),
        waiting_ranges=len(hot),
        given_up=sum(m.last - m.first + 1 for m in cold),
        answered_s_ago=max(time.time() - state.answered, 0.0),
        rewound=state.rewound,
        parked=sum(p.last - p.first + 1 for p in record.parked),
        parked_first=min((p.first for p in record.parked), default=0),
        parked_last=max((p.last for p in record.parked), default=0),
        parked_since=min((p.at for p in record.parked), default=0),
    )


def _plugins(
    state: Reader, enabled: frozenset[str], loaded: frozenset[str] | None
) -> tuple[PluginOverview, ...]:
    end = state.end()
    dead = state.dead_letter_counts()
    overviews = []
    for record in state.plugins().values():
        lane = state.lane_progress(record.lane) or BEGINNING
        progress = record.progress if record.apart else lane
        shown = _shown(record, enabled, loaded)
        overviews.append(
            _plugin(record, progress, end, state, dead=dead.get(record.name, (0, "")), shown=shown)
        )
    return tuple(sorted(overviews, key=lambda plugin: (plugin.lane, plugin.name)))


def _plugin(
    record: PluginRecord,
    progress: Progress,
    end: int,
    state: Reader,
    *,
    dead: tuple[int, str],
    shown: str,
) -> PluginOverview:
    oldest = state.created_after(progress.finished)
    return PluginOverview(
        name=record.name,
        lane=record.lane,
        state=shown,
        reason=record.reason,
        behind=progress.behind(end),
        behind_s=0.0 if oldest is None else max(time.time() - oldest, 0.0),
        retry_in_s=max(record.retry_at - time.time(), 0.0) if record.state == "held" else 0.0,
        dead_letters=dead[0],
        failures=record.failures,
        last_error=dead[1],
        hangs=record.hangs,
    )


def _shown(record: PluginRecord, enabled: frozenset[str], loaded: frozenset[str] | None) -> str:
    """Return the state of a plugin; `loaded` are the daemon's plugins, None if none runs."""
    if record.name not in enabled:
        return "disabled"
    if record.state in {"held", "paused"}:
        return record.state
    if loaded is not None and record.name not in loaded:
        return "not loaded"
    if record.state == "not started":
        return record.state
    return "catching up" if record.apart else record.state
