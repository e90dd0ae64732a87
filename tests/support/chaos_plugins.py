"""The plugins of a chaos run: each notes its calls, as they begin and as they end, in one file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

CALL_SECONDS: Final = 0.015
"""How long a call takes at least, so that a kill is often in one."""
BATCHED_TYPE: Final = "Studio_Save"
"""The type of the events that come in batches."""

_NOTES: Final = """
import json, os, time
from sgevents_core import Defer, Retry, hookimpl, match

_file = os.open(CALLS_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _write(what, ctx, callback, *more):
    words = [what, time.time(), os.environ["CHAOS_HOST"], os.getpid(), ctx.plugin, callback]
    os.write(_file, (json.dumps([*words, ctx.attempt, ctx.key, *more]) + "\\n").encode())


def _work(events, ctx, callback, decide):
    _write("begun", ctx, callback, [event.id for event in events])
    time.sleep(CALL_SECONDS)
    error = decide(events, ctx)
    _write("ended", ctx, callback, type(error).__name__ if error else "done")
    if error:
        raise error


def _count(events, ctx):
    ctx.store["count"] = ctx.store.get("count", 0) + len(events)


def _count_batch(events, ctx):
    ctx.store["batched"] = ctx.store.get("batched", 0) + len(events)


def _retry(events, ctx):
    if events[0].id % 7 == 0 and ctx.attempt == 1:
        return Retry("once more", after=0.2)


def _defer(events, ctx):
    if events[0].id % 11 == 0:
        with ctx.once("early") as is_first:
            pass
        if is_first:
            return Defer("too early", after=1)


def _count_or_wait(events, ctx):
    error = _retry(events, ctx) or _defer(events, ctx)
    return error or _count(events, ctx)


def _do_nothing(events, ctx):
    return None

"""
_EVERY: Final = """
@hookimpl
def on_event(event, ctx):
    _work([event], ctx, "every", DECIDE)

"""
_AGAIN: Final = """
@hookimpl(specname="on_event")
def again(event, ctx):
    _work([event], ctx, "again", DECIDE)

"""
_BATCH: Final = """
@hookimpl(specname="on_event")
@match(event_type="Studio_Save", batch="300ms", at_most="2s", by="entity", size=10)
def batch(events, ctx):
    _work(events, ctx, "batch", DECIDE)

"""


class LaneRules(NamedTuple):
    """A lane of the run, and the plugin in it.

    Args:
        table: Its table in the configuration.
        workers: How many calls it makes at once.
        is_by_entity: Whether only events of one entity are in order.
        callbacks: Callback -> the function of `_NOTES` that says what it does.
        counters: The keys of its store under which the plugin counts: `count` all events,
            `batched` those that come in batches.
    """

    table: str
    workers: int
    is_by_entity: bool
    callbacks: dict[str, str]
    counters: tuple[str, ...] = ()


LANES: Final = {
    "day": LaneRules(
        "", 1, False, {"every": "_count_or_wait", "batch": "_count_batch"}, ("count", "batched")
    ),
    "night": LaneRules("", 1, False, {"every": "_do_nothing", "again": "_retry"}),
    "farm": LaneRules(
        'workers = 3\norder_by = "entity"\n',
        3,
        True,
        {"every": "_count_or_wait", "again": "_do_nothing", "batch": "_count_batch"},
        ("count", "batched"),
    ),
    "disk": LaneRules(
        'workers = 2\norder_by = "entity"\nexecutor = "process"\n',
        2,
        True,
        {"every": "_count", "batch": "_retry"},
        ("count",),
    ),
}
"""Lane -> what is in it. Of `night`, the lane's register alone says where it is."""
_TEXTS: Final = {"every": _EVERY, "again": _AGAIN, "batch": _BATCH}


def plugin_of(lane_name: str) -> str:
    """Return the name of the plugin in a lane."""
    return f"plugin_{lane_name}"


def plugin_text(lane_name: str, calls_file: Path) -> str:
    """Return the code of the plugin in a lane."""
    callbacks = LANES[lane_name].callbacks
    parts = [_TEXTS[name].replace("DECIDE", decision) for name, decision in callbacks.items()]
    notes = _NOTES.replace("CALLS_FILE", repr(str(calls_file)))
    return "".join([notes.replace("CALL_SECONDS", str(CALL_SECONDS)), *parts])


class NotedCall:
    """One call as its plugin noted it.

    Args:
        words: The line written as it began.
    """

    __slots__ = (
        "attempt",
        "begun_at",
        "callback",
        "ended_at",
        "event_ids",
        "host",
        "key",
        "outcome",
        "pid",
        "plugin",
    )

    def __init__(self, words: list[Any]) -> None:
        self.begun_at, self.host, self.pid, self.plugin, self.callback = words[1:6]
        self.attempt, self.key, self.event_ids = words[6:9]
        self.ended_at: float | None = None
        self.outcome = ""
        """`done`, or the name of what it raised; empty if it did not end."""

    @property
    def lane(self) -> str:
        """The lane it was made in."""
        return str(self.plugin).removeprefix("plugin_")

    def __repr__(self) -> str:
        """Return it for people."""
        ended = f"{self.ended_at - self.begun_at:.3f} s" if self.ended_at else "no end"
        return (
            f"{self.plugin}.{self.callback} {self.event_ids} at {self.begun_at:.3f} ({ended}) "
            f"on {self.host}, process {self.pid}, attempt {self.attempt}, {self.outcome or 'cut'}"
        )


def read_calls(calls_file: Path) -> list[NotedCall]:
    """Return the calls noted so far, in the order in which they began."""
    calls: list[NotedCall] = []
    running: dict[tuple[Any, ...], NotedCall] = {}
    for words in _read_lines(calls_file):
        identity = (words[2], words[3], words[5], words[7])
        if words[0] == "begun":
            call = running[identity] = NotedCall(words)
            calls.append(call)
        else:
            call = running.pop(identity)
            call.ended_at, call.outcome = words[1], words[8]
    return sorted(calls, key=lambda call: call.begun_at)


def _read_lines(calls_file: Path) -> Iterator[list[Any]]:
    if calls_file.exists():
        yield from map(json.loads, calls_file.read_bytes().splitlines())
