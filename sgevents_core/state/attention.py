"""The conditions that need a person, each with the command that helps; for `status` and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.errors import StateError
from sgevents_core.printable import counted
from sgevents_core.protocols import AttentionKind
from sgevents_core.state.pulse import STALE_AFTER, Pulse

LASTING_AFTER: Final = 60.0
"""Seconds after which trouble needs a person; shorter trouble ends by itself."""


WAYS_OUT: Final = (
    "the site was restored or set up anew, a sandbox started again, or this state belongs to"
    " another site. Continue with the new log: sgevents feed reset --from now (or from an id or a"
    " time); or give this site a state of its own with another path in [state]"
)
"""The possible causes of a log that went backwards, and the commands that help."""
MOST_NAMED: Final = 5
"""The most events set aside that are named."""


class FeedTrouble(NamedTuple):
    """The feed's trouble as recorded in the journal.

    Args:
        rewind_reason: Why the feed has stopped; empty if it has not.
        parked_count: How many late rows are parked and await a decision.
        first_parked_id: The lowest id of these; 0 if there are none.
        last_parked_id: The highest id.
        names_aside: Names of the events that cannot be stored or read.
    """

    rewind_reason: str = ""
    parked_count: int = 0
    first_parked_id: int = 0
    last_parked_id: int = 0
    names_aside: Sequence[str] = ()


class Need(NamedTuple):
    """A condition that needs a person.

    Args:
        kind: The kind of condition.
        text: The problem, in a sentence.
        fix: The remedy.
        plugin: The plugin concerned; empty if there is none.
    """

    kind: AttentionKind
    text: str
    fix: str
    plugin: str = ""


def attention_needs(pulse: Pulse | None, feed_trouble: FeedTrouble, now: float) -> Iterator[Need]:
    """Yield the conditions that need a person, the most urgent first.

    Args:
        pulse: The daemon's pulse; None if no daemon runs.
        feed_trouble: The feed's recorded trouble.
        now: The time, in seconds since 1970.
    """
    if pulse is not None:
        yield from _state_needs(pulse, now)
        yield from _site_needs(pulse, now)
    if feed_trouble.rewind_reason:
        text = (
            f"The event log went backwards, and nothing is appended: {feed_trouble.rewind_reason}"
        )
        yield Need("rewound", text, WAYS_OUT)
    if pulse is not None:
        yield from _call_needs(pulse, now)
    if feed_trouble.parked_count:
        which = f"events {feed_trouble.first_parked_id} to {feed_trouble.last_parked_id}"
        text = f"{counted(feed_trouble.parked_count, 'row')} that came late are parked, {which}"
        yield Need("parked", text, "look at them, then decide: sgevents feed parked")
    if feed_trouble.names_aside:
        aside_count = len(feed_trouble.names_aside)
        named = ", ".join(
            f"event {event_name}" for event_name in feed_trouble.names_aside[:MOST_NAMED]
        )
        more = f" and {aside_count - MOST_NAMED} more" if aside_count > MOST_NAMED else ""
        text = f"{counted(aside_count, 'event is', 'events are')} set aside: {named}{more}"
        yield Need("set_aside", text, "see why: sgevents feed aside")


def _state_needs(pulse: Pulse, now: float) -> Iterator[Need]:
    trouble = pulse.journal
    if trouble is not None and now - trouble.since >= LASTING_AFTER:
        text = f"Nothing can be written to the state: {trouble.error}"
        yield Need("state_not_written", text, trouble.fix or StateError.fix)


def _site_needs(pulse: Pulse, now: float) -> Iterator[Need]:
    trouble = pulse.site
    if trouble is None:
        return
    if trouble.refused:
        fix = "renew the script's key on the site's Scripts page, set it in [site], and reload"
        yield Need("key_refused", trouble.error.rstrip("."), fix)
    elif now - trouble.since >= LASTING_AFTER:
        fix = "see whether the site and the network are up: sgevents check"
        yield Need("site_down", trouble.error.rstrip("."), fix)


def _call_needs(pulse: Pulse, now: float) -> Iterator[Need]:
    for call in pulse.calls:
        if now - call.since >= LASTING_AFTER:
            text = (
                f"{call.callback} of plugin {call.plugin} has been at event {call.event_id} for "
                f"{now - call.since:.0f} s, and lane {call.lane} waits for it"
            )
            fix = f"give it a timeout: [plugins.{call.plugin}] timeout; or pause it: sgevents pause"
            yield Need("lane_held_up", text, fix, call.plugin)
    for plugin_name in pulse.hung:
        text = f"A call of plugin {plugin_name} was given up and has not returned; the plugin waits"
        fix = f"mend the plugin; sgevents resume {plugin_name} once it has returned"
        yield Need("call_hangs", text, fix, plugin_name)


ShownNeedKind: TypeAlias = Literal[
    "not_running",
    "not_moving",
    "not_reloaded",
    "reload_stopped",
    "other_files",
    "paused",
    "not_started",
    "not_loaded",
    "dead_letters",
]
"""Kinds shown only by `status`: the daemon cannot report them, or plugins are notified
otherwise.
"""


class ShownNeed(NamedTuple):
    """A need that only `status` shows; its fields are those of `Need`."""

    kind: ShownNeedKind
    text: str
    fix: str
    plugin: str = ""


def daemon_needs(daemon_pid: int | None, pulse: Pulse | None, now: float) -> Iterator[ShownNeed]:
    """Yield the needs of the daemon itself.

    Args:
        daemon_pid: The daemon's process id; None if no daemon runs.
        pulse: The daemon's pulse; None if it has not written one.
        now: The time, in seconds since 1970.
    """
    if daemon_pid is None:
        fix = "start it: sgevents run, or its service; the last lines of its log say why it ended"
        yield ShownNeed("not_running", "The daemon is not running", fix)
    elif pulse is not None and now - pulse.at > STALE_AFTER:
        text = f"The daemon has not moved for {now - pulse.at:.0f} s"
        yield ShownNeed("not_moving", text, f"see its log, then restart it (process {daemon_pid})")


def refused_reload_need(reason_text: str) -> ShownNeed:
    """Return the need that reports a refused reload."""
    text = f"The last reload was refused, and the daemon continues as before: {reason_text}"
    return ShownNeed("not_reloaded", text, "fix that, then: sgevents reload")


def stopped_reload_need(host_name: str, reason_text: str) -> ShownNeed:
    """Return the need that reports a host at which the reload of all hosts has stopped."""
    text = f"The reload of all hosts has stopped at {host_name}: {reason_text}"
    fix = f"fix that on {host_name}, then: sgevents reload there"
    return ShownNeed("reload_stopped", text, fix)


def other_files_need(host_name: str, difference_text: str) -> ShownNeed:
    """Return the need that reports a host with other files than are wanted."""
    text = f"Host {host_name} differs from what is wanted: {difference_text}"
    fix = (
        f"install the same on {host_name} and restart it there; or make what it has the wanted"
        f" version: sgevents reload on {host_name}"
    )
    return ShownNeed("other_files", text, fix)


def plugin_needs(
    plugin_name: str, *, plugin_state: str, reason_text: str, letter_count: int
) -> Iterator[ShownNeed]:
    """Yield the needs of a plugin.

    Args:
        plugin_name: The plugin's name.
        plugin_state: The plugin's state as an overview shows it.
        reason_text: The reason for that state.
        letter_count: How many dead letters it has.
    """
    reason_suffix = f": {reason_text}" if reason_text else ""
    if plugin_state == "paused":
        text = f"Plugin {plugin_name} is paused{reason_suffix}"
        yield ShownNeed(
            "paused", text, f"fix the cause, then: sgevents resume {plugin_name}", plugin_name
        )
    elif plugin_state == "not started":
        text = f"Plugin {plugin_name} is not started{reason_suffix}"
        yield ShownNeed("not_started", text, "fix its startup, then: sgevents reload", plugin_name)
    elif plugin_state == "not loaded":
        text = f"Plugin {plugin_name} is enabled, and the daemon has not loaded it"
        yield ShownNeed("not_loaded", text, "see why: sgevents plugins list", plugin_name)
    if letter_count:
        text = f"Plugin {plugin_name} has {counted(letter_count, 'dead letter')}"
        fix = f"look, then retry or dismiss: sgevents dead-letters list --plugin {plugin_name}"
        yield ShownNeed("dead_letters", text, fix, plugin_name)
