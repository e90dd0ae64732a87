"""What is wrong at one moment, as alerts see it; pure: a picture in, conditions out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sgevents_core.choices import AlertKind
from sgevents_core.errors import StateError
from sgevents_core.printable import counted, one_line
from sgevents_core.reading.overview import FeedOverview, Overview, PluginOverview
from sgevents_core.settings import format_duration
from sgevents_core.state.letters import LetterGroup
from sgevents_core.state.pulse import Pulse

PROOF_AGE: Final = 3600.0
"""Seconds after which a log that no audit has proved to be complete needs a person."""
LEAST_SPACE: Final = 1_000_000_000
"""Bytes below which a disk is nearly full, unless that is more than a twentieth of it."""
LEAST_SHARE: Final = 0.05
MOST_GROUPS: Final = 5
"""The most kinds of failures of one callback that are told apart."""
LONGEST_TEXT: Final = 300
"""The most characters of a text from outside in a message."""


class Condition(NamedTuple):
    """Something that is wrong.

    Args:
        kind: Its kind.
        plugin: The plugin concerned; empty if none is.
        subject: Tells it from others of its kind and plugin.
        text: What is wrong, in a sentence.
        fix: What to do about it.
        times: How often it has happened.
        may_pass: Whether it often ends by itself, and is told only if it lasts.
        ends: Whether its end is told.
    """

    kind: AlertKind
    plugin: str
    subject: str
    text: str
    fix: str
    times: int = 1
    may_pass: bool = False
    ends: bool = True

    @property
    def key(self) -> str:
        """What stays the same while it lasts."""
        return "\x1f".join((self.kind, self.plugin, self.subject))


class DiskSpace(NamedTuple):
    """The space of a disk, in bytes."""

    free: int
    total: int


@dataclass(frozen=True)
class Picture:
    """What is known of a daemon at one moment.

    Args:
        now: The time, in seconds since 1970.
        running_since: When the daemon began its work, in seconds since 1970.
        overview: The state; None if it cannot be read: then not all that is wrong is known.
        pulse: The daemon's pulse; None if it has not written one.
        letters: The dead letters, in groups.
        broken: Why plugins could not be loaded, by name.
        disk: The space of the state's disk; None if that is not known.
        worker_deaths: How many worker processes have died, by lane.
        crashed_at: When the daemon before this one was last alive, in seconds since 1970, if it did
            not end in an orderly way; 0 if it did.
    """

    now: float
    running_since: float
    overview: Overview | None
    letters: Sequence[LetterGroup] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    disk: DiskSpace | None = None
    worker_deaths: Mapping[str, int] = field(default_factory=dict)
    crashed_at: float = 0.0
    pulse: Pulse | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it shows all that is wrong."""
        return self.overview is not None


def conditions_in(picture: Picture, longest_lag: float) -> Iterator[Condition]:
    """Yield all that is wrong in a picture, what concerns everything first.

    Args:
        picture: The picture.
        longest_lag: How far a plugin may be behind, in seconds.
    """
    yield from _state_conditions(picture)
    overview = picture.overview
    if overview is not None:
        yield from _site_conditions(overview)
        if overview.feed is not None:
            yield from _feed_conditions(overview, overview.feed, picture)
        yield from _aside_conditions(overview)
    yield from _crash_conditions(picture)
    for plugin_name, broken_reason in picture.broken.items():
        problem_text = f"Plugin {_shorten(plugin_name)} does not run: {_shorten(broken_reason)}"
        yield Condition("broken", plugin_name, "", problem_text, "see sgevents plugins list")
    if overview is not None:
        for plugin in overview.plugins:
            yield from _plugin_conditions(plugin, picture, longest_lag)
    yield from _letter_conditions(picture.letters)


def _state_conditions(picture: Picture) -> Iterator[Condition]:
    daemon_pulse = picture.pulse
    if daemon_pulse is not None and daemon_pulse.journal is not None:
        problem_text = (
            f"Nothing can be written to the state: {_shorten(daemon_pulse.journal.error)}"
        )
        fix = daemon_pulse.journal.fix or StateError.fix
        yield Condition("disk", "", "written", problem_text, fix, may_pass=True)
    disk_space = picture.disk
    if disk_space is not None and disk_space.free < min(
        LEAST_SPACE, LEAST_SHARE * disk_space.total
    ):
        problem_text = (
            f"The disk of the state is nearly full: {disk_space.free // 1_000_000} MB are left"
        )
        yield Condition("disk", "", "full", problem_text, "free space on it", may_pass=True)


def _site_conditions(overview: Overview) -> Iterator[Condition]:
    site_trouble = overview.pulse.site if overview.pulse else None
    if site_trouble is None:
        return
    fix = "see whether the site and the network are up: sgevents check"
    if site_trouble.refused:
        fix = "renew the script's key on the site's Scripts page, set it in [site], and reload"
    problem_text = _shorten(site_trouble.error)
    yield Condition("outage", "", "", problem_text, fix, may_pass=not site_trouble.refused)


def _feed_conditions(
    overview: Overview, feed: FeedOverview, picture: Picture
) -> Iterator[Condition]:
    if feed.rewound:
        problem_text = (
            f"The event log went backwards, and nothing is appended: {_shorten(feed.rewound)}"
        )
        yield Condition("rewound", "", "", problem_text, "sgevents status says what to do")
    if feed.parked:
        problem_text = f"{counted(feed.parked, 'late row')} await a decision"
        fix = "see sgevents feed parked"
        yield Condition("parked", "", "", problem_text, fix, times=feed.parked)
    is_site_down = overview.pulse is not None and overview.pulse.site is not None
    unproved_for = picture.now - max(feed.proved_at, picture.running_since)
    if unproved_for > PROOF_AGE and not is_site_down and not feed.rewound:
        problem_text = (
            f"No audit has shown for {format_duration(int(unproved_for))} that nothing is missing"
        )
        yield Condition("incomplete", "", "proof", problem_text, "its log says why audits fail")


def _aside_conditions(overview: Overview) -> Iterator[Condition]:
    aside_count = len(overview.set_aside)
    if aside_count:
        problem_text = f"{counted(aside_count, 'event')} cannot be stored or read"
        yield Condition(
            "incomplete", "", "aside", problem_text, "see sgevents feed aside", times=aside_count
        )


def _crash_conditions(picture: Picture) -> Iterator[Condition]:
    if picture.crashed_at:
        problem_text = (
            "The daemon ended without being stopped, and was started again; nothing is lost"
        )
        fix = "the last lines of its log, or the system's, say why"
        yield Condition("crash", "", f"{picture.crashed_at:.0f}", problem_text, fix, ends=False)
    for lane_name, death_count in picture.worker_deaths.items():
        if death_count:
            processes = counted(death_count, "worker process", "worker processes")
            problem_text = f"{processes} of lane {_shorten(lane_name)} ended"
            fix = "the log names the calls that they were in"
            yield Condition(
                "crash", "", f"lane {lane_name}", problem_text, fix, times=death_count, ends=False
            )


def _plugin_conditions(
    plugin: PluginOverview, picture: Picture, longest_lag: float
) -> Iterator[Condition]:
    shown_name, reason_suffix = (
        _shorten(plugin.name),
        f": {_shorten(plugin.reason)}" if plugin.reason else "",
    )
    if plugin.state == "paused":
        problem_text, fix = (
            f"Plugin {shown_name} is paused{reason_suffix}",
            f"fix the cause, then: sgevents resume {shown_name}",
        )
        yield Condition("paused", plugin.name, "", problem_text, fix)
    elif plugin.state == "held":
        problem_text, fix = (
            f"Plugin {shown_name} waits to try again{reason_suffix}",
            "see sgevents status",
        )
        yield Condition("held", plugin.name, "", problem_text, fix, may_pass=True)
    elif plugin.state in {"not loaded", "not started"} and plugin.name not in picture.broken:
        problem_text = f"Plugin {shown_name} is enabled and does not run{reason_suffix}"
        yield Condition("broken", plugin.name, "", problem_text, "see sgevents plugins list")
    if plugin.state != "disabled" and plugin.behind_s > longest_lag:
        behind_text = f"{counted(plugin.behind, 'event')}, {format_duration(int(plugin.behind_s))}"
        problem_text, fix = f"Plugin {shown_name} is behind by {behind_text}", "see sgevents status"
        yield Condition("lag", plugin.name, "", problem_text, fix, may_pass=True)


def _letter_conditions(letter_groups: Sequence[LetterGroup]) -> Iterator[Condition]:
    """Yield the largest groups of each callback, and what is left of them as one."""
    group_counts: dict[tuple[str, str], int] = {}
    other_counts: dict[tuple[str, str], int] = {}
    for group in letter_groups:
        plugin_callback = (group.plugin, group.callback)
        group_counts[plugin_callback] = group_counts.get(plugin_callback, 0) + 1
        if group_counts[plugin_callback] > MOST_GROUPS:
            other_counts[plugin_callback] = other_counts.get(plugin_callback, 0) + group.letters
            continue
        failure_text = f"failed for good: {_shorten(group.error)}"
        yield _letter_condition(
            *plugin_callback, f"{group.callback} {group.error}", group.letters, failure_text
        )
    for plugin_callback, letter_count in other_counts.items():
        yield _letter_condition(
            *plugin_callback, f"{plugin_callback[1]} others", letter_count, "failed in other ways"
        )


def _letter_condition(
    plugin_name: str, callback_name: str, subject: str, letter_count: int, failure_text: str
) -> Condition:
    shown_plugin, letters_text = _shorten(plugin_name), counted(letter_count, "dead letter")
    callback_text = f"{_shorten(callback_name)} of plugin {shown_plugin}"
    problem_text = f"{callback_text} {failure_text} ({letters_text})"
    fix = f"look, then retry or dismiss: sgevents dead-letters list --plugin {shown_plugin}"
    return Condition("dead_letter", plugin_name, subject, problem_text, fix, times=letter_count)


def _shorten(outside_text: str) -> str:
    """Return a text from outside as one line of bounded length that mentions nobody."""
    shown_text = one_line(outside_text[: 4 * LONGEST_TEXT])
    if len(shown_text) > LONGEST_TEXT:
        shown_text = f"{shown_text[: LONGEST_TEXT - 1]}…"
    # In a chat, `@everyone` would call everybody.
    return shown_text.replace("@", "@\u2060")
