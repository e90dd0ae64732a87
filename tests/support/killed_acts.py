"""A day of a daemon in acts, which cover all writes: a kill must not change the result.

Each act begins where the one before ended, or anew; it changes the site and people's requests,
and ends once the daemon has handled everything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.entries import Entry
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import ReplayEvent
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE

PLUGIN = """
    import json, os, pathlib
    from sgevents_core import Defer, Retry, hookimpl, match

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _mended = pathlib.Path({mended!r})

    def _note(event, ctx, callback):
        note = [event.id, ctx.plugin, callback, ctx.attempt, ctx.key]
        os.write(_file, json.dumps(note).encode().ljust(127) + b"\\n")

    @hookimpl
    def startup(ctx):
        if {stores}:
            ctx.store["started"] = True

    @hookimpl
    def shutdown(ctx):
        if {stores}:
            ctx.store["stopped"] = True

    @hookimpl
    def on_event(event, ctx):
        _defer_once(event, ctx)
        _note(event, ctx, "every")
        if {stores}:
            ctx.store["every"] = ctx.store.get("every", 0) + 1
        if event.event_type == "Studio_Bad_" + ctx.plugin and not _mended.exists():
            raise ValueError("bad")
        if event.event_type == "Studio_Worse_" + ctx.plugin:
            raise ValueError("worse")
        if event.event_type == "Studio_Retry_" + ctx.plugin:
            with ctx.once("told"):
                pass
        if event.event_type == "Studio_Retry_" + ctx.plugin and ctx.attempt < 3:
            raise Retry("not yet", after=0)
        if event.event_type == "Studio_Ignore_" + ctx.plugin:
            ctx.ignore("nothing to do")

    def _defer_once(event, ctx):
        here = _mended.with_name("deferred-%d" % event.id)
        if event.event_type == "Studio_Defer_" + ctx.plugin and not here.exists():
            here.touch()
            raise Defer("not yet", after=0)

    @hookimpl(specname="on_event")
    @match(event_type="Shotgun_*_Change")
    def changed(event, ctx):
        _note(event, ctx, "changed")
        if {stores}:
            ctx.store["changed"] = ctx.store.get("changed", 0) + 1

    if {stores}:

        @hookimpl(specname="on_event")
        @match(event_type="Studio_*", batch="1h", by=lambda event: event.id % 2)
        def rolled(events, ctx):
            kinds = dict.fromkeys(one.event_type for one in events)
            if "Studio_Retry_" + ctx.plugin in kinds and ctx.attempt == 1:
                raise Retry("not yet", after=0)
            if "Studio_Defer_" + ctx.plugin in kinds:
                raise Defer("never", after="1d")
            if "Studio_Worse_alpha" in kinds and ctx.plugin == "zulu":
                raise ValueError("worse")
            if "Studio_A" in kinds:
                ctx.ignore("nothing to roll up")
            ctx.store["rolled"] = sorted(ctx.store.get("rolled", []) + [one.id for one in events])
"""
"""A plugin that records its calls, counts them in its store if it has one, and fails on some."""

PLUGINS = {
    "mike": ("second", False, ""),
    "zulu": ("second", True, ""),
    "alpha": ("first", False, ""),
    "bravo": ("first", True, 'on_error = "pause"'),
}
"""In call order: the group, whether it stores, keys of the config."""
CHANGE = "Shotgun_Task_Change"
OLD = ["Studio_Old", CHANGE, None, None, "Studio_Old"]
"""Events of three days ago; None is an id without a row."""
NEW = [
    # the second act: ids 6 to 16
    *("Studio_A", CHANGE, "Studio_Late", None, "Studio_Retry_zulu", "Studio_Bad_alpha"),
    *(CHANGE, "Studio_Bad_bravo", "Studio_Defer_zulu", "Studio_Worse_alpha", "Studio_Ignore_zulu"),
    # the third: ids 17 to 22
    *("Studio_B", CHANGE, "Studio_Worse_bravo", "Studio_Retry_zulu", "Studio_B", CHANGE),
    # the fourth: ids 23 to 26
    *("Studio_C", CHANGE, "Studio_Retry_zulu", "Studio_C"),
    # the fifth: ids 27 to 28
    *("Studio_D", CHANGE),
]
LATE = 8
ENTITIES = 4
"""How many entities the events are about, one after another."""
WORKERS = 3
LANE = '[lanes.default]\nworkers = {}\norder_by = "{}"\n'
REPLAYED = (6, 12, 15, 17, 18, 22)


class Act(NamedTuple):
    """One act.

    Args:
        name: Its name.
        last: The highest id that shows.
        late: Whether the late row shows.
        prepare: What people do before.
        steady: Plugins that stay with their lane all the time, so that one order holds for all.
        again: Events that are handed out again, and to whom: a person asked.
        anew: Whether it begins with nothing.
        deferred: Events that are put off, and by whom: the order is given up for them.
        lane: The table of the lane in the config; empty for the default.
        workers: How many calls may run at once.
        settle: What people do before its end is judged: how far a plugin is that was paused while
            other workers ran is not determined. The next act begins before that.
    """

    name: str
    last: int
    late: bool
    prepare: Callable[[Path], None]
    steady: tuple[str, ...] = ()
    again: frozenset[tuple[str, int]] = frozenset()
    anew: bool = False
    deferred: frozenset[tuple[str, int]] = frozenset()
    lane: str = ""
    workers: int = 1
    settle: Callable[[Path], None] | None = None

    def divided(
        self,
        order_by: str,
        steady: tuple[str, ...] | None = None,
        settle: Callable[[Path], None] | None = None,
    ) -> Act:
        """Return the same act with several workers in the lane."""
        return self._replace(
            lane=LANE.format(WORKERS, order_by),
            workers=WORKERS,
            steady=self.steady if steady is None else steady,
            settle=settle,
        )


def _nothing(folder: Path) -> None:
    """People do nothing."""


def _older_state(folder: Path) -> None:
    """Leave a state as the first version wrote it."""
    folder.mkdir(mode=0o750)
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        db.executescript(schema.migrations()[0][1] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO stores VALUES ('zulu', 'kept', '12')")
        db.commit()


def _mended(folder: Path) -> None:
    """Fix the plugins, and retry what failed."""
    (folder.parent / "mended").touch()
    with closing(open_state(folder).letters()) as letters:
        bad, worse = letters.find("alpha")
    with closing(open_state(folder).requests()) as requests:
        requests.ask("pause", "mike", {"reason": "for a while"}, "anna@host")
        requests.ask("resume", "bravo", {}, "anna@host")
        requests.ask("retry", "alpha", {"letter": bad.number}, "anna@host")
        requests.ask("retry", "alpha", {"letter": worse.number}, "anna@host")


def _resumed(folder: Path) -> None:
    """Fix the plugins, and let the one that is paused continue."""
    (folder.parent / "mended").touch()
    with closing(open_state(folder).requests()) as requests:
        requests.ask("resume", "bravo", {}, "anna@host")


def _skipped(folder: Path) -> None:
    """Skip the event at which a plugin is paused."""
    with closing(open_state(folder).requests()) as requests:
        requests.ask("skip", "bravo", {"event_id": 19}, "anna@host")


def _replays(folder: Path) -> None:
    """Skip and dismiss what cannot be fixed, resume, and replay what the journal holds."""
    with closing(open_state(folder).letters()) as letters:
        (worse,) = letters.find("alpha")
    with closing(open_state(folder).reader()) as state:
        entries = [entry for entry in state.read(0, 999) if entry.event_id in REPLAYED]
    events = [ReplayEvent(one.era, one.seq, one.event_id, one.body) for one in entries]
    _skipped(folder)
    with closing(open_state(folder).requests()) as requests:
        requests.ask("dismiss", "alpha", {"letter": worse.number}, "anna@host")
        requests.ask("resume", "mike", {}, "anna@host")
        requests.ask("replay", "zulu", {}, "anna@host", events)
        requests.ask("replay", "alpha", {}, "anna@host", events)


def _reset(folder: Path) -> None:
    """Begin the feed anew."""
    detail = {"from": "23", "era": 1, "force": True}
    with closing(open_state(folder).requests()) as requests:
        requests.ask("reset", "", detail, "anna@host")


def _each(plugins: tuple[str, ...], ids: tuple[int, ...]) -> frozenset[tuple[str, int]]:
    return frozenset((plugin, id_) for plugin in plugins for id_ in ids)


_REPLAYED_TO = ("zulu", "alpha")
ACTS = [
    Act("first start", 7, False, _nothing, tuple(PLUGINS), anew=True),
    Act(
        "upgrade",
        16,
        False,
        _older_state,
        ("mike", "alpha"),
        anew=True,
        deferred=frozenset({("zulu", 14)}),
    ),
    Act("mending", 22, True, _mended, ("alpha",), _each(("alpha",), (11, 15))),
    Act("replays", 26, True, _replays, ("alpha",), _each(_REPLAYED_TO, REPLAYED)),
    Act("new era", 28, True, _reset, ("mike", "alpha", "bravo")),
    Act("quiet start", 28, True, _nothing),
]
_FIRST, _UPGRADE, _MENDING, _REPLAYS, _NEW_ERA, _QUIET = ACTS
DIVIDED_ACTS = [
    _FIRST.divided("entity", ("mike", "zulu", "alpha")),
    _UPGRADE.divided("entity", settle=_resumed),
    _MENDING.divided("entity", settle=_skipped),
    _REPLAYS.divided("entity"),
    _NEW_ERA.divided("project"),
    _QUIET,
]
"""The same day in a lane with workers, whose division changes in the end."""


def entity_of(event_id: int) -> int:
    """Return the entity that an event is about."""
    return event_id % ENTITIES


def fill(site: Sandbox, set_clock: Callable[[datetime], None]) -> None:
    """Create all events of all acts; each act decides which are visible."""
    for first_id, kinds, age in ((1, OLD, 3), (len(OLD) + 1, NEW, 0)):
        set_clock(datetime.now(timezone.utc) - timedelta(days=age))
        for event_id, kind in enumerate(kinds, first_id):
            if kind is None:
                site.burn(1)
            else:
                meta = {"entity_type": "Task", "entity_id": 1 + entity_of(event_id)}
                site.event(kind, meta=meta)


def show(site: Sandbox, act: Act) -> None:
    """Make visible on the site what is visible in an act."""
    ids = [n for n, kind in enumerate([*OLD, *NEW], 1) if kind is not None]
    site.show()
    site.hide([n for n in ids if n > act.last or (n == LATE and not act.late)])


def install(daemon: RunningDaemon) -> None:
    """Install the plugins, and set the daemon up."""
    daemon.groups("second", "first")
    mended = str(daemon.folder / "mended")
    for name, (group, stores, keys) in PLUGINS.items():
        text = PLUGIN.format(calls=str(daemon.calls), mended=mended, stores=stores)
        daemon.install(name, text, group, keys)
    daemon.feed = 'poll_interval = "10ms"\nbacklog_timeout = "5m"\nstart = 1\npage_size = 5\n'
    daemon.state += 'retention = "1d"\n'


_KEPT = {
    "lanes": "SELECT name, seq, done FROM lanes",
    "plugins": "SELECT name, lane, apart, CASE apart WHEN 1 THEN cursor END, done, state, reason"
    " FROM plugins",
    "attempts": "SELECT plugin, callback, coalesce((SELECT min(batched.seq) FROM batched"
    " WHERE letter = 0 AND request = 0 AND batched.plugin = attempts.plugin"
    " AND batched.callback = attempts.callback AND batch = attempts.seq), seq) FROM attempts"
    " ORDER BY 1, 2, 3",
    "deaths": "SELECT plugin, callback, seq FROM deaths WHERE NOT EXISTS (SELECT 1 FROM plugins"
    " WHERE name = plugin AND apart AND cursor = deaths.seq - 1)"
    " AND NOT EXISTS (SELECT 1 FROM batched WHERE letter = 0 AND batched.plugin = deaths.plugin"
    " AND batched.callback = deaths.callback AND batch = deaths.seq) ORDER BY 1, 2, 3",
    "batched": "SELECT plugin, callback, min(seq) OVER (PARTITION BY plugin, callback, letter,"
    " request, batch), era, event_id, put_off_at > 0 FROM batched ORDER BY 1, 2, 3, 4, 5, 6",
    "deferred": "SELECT plugin, callback, event_id FROM deferred ORDER BY 1, 2, 3",
    "ignored": "SELECT plugin, callback, seq, reason FROM ignored ORDER BY 1, 2, 3",
    "done_parts": "SELECT era, event_id, plugin, callback, name FROM done_parts"
    " ORDER BY 1, 2, 3, 4, 5",
    "failures": "SELECT plugin, callback, event_id, outcome, dead, error FROM failures"
    " WHERE outcome != 'retry' ORDER BY 1, 2, 3, 4",
    "stores": "SELECT plugin, key, value FROM stores ORDER BY 1, 2",
    "requests": "SELECT id, kind, plugin, outcome, CASE kind WHEN 'replay'"
    " THEN substr(answer, 1, 34) END FROM requests ORDER BY 1",
    "replays": "SELECT count(*) FROM replays",
    "missing": "SELECT first, last FROM missing ORDER BY 1",
    "gone": "SELECT first, last FROM gone ORDER BY 1",
    "closed": "SELECT era, first, last FROM closed ORDER BY 1, 2",
    "feed": "SELECT json_extract(state, '$.era'), json_extract(state, '$.frontier'),"
    " json_extract(state, '$.anchor_id') FROM feed",
    "joined": "SELECT plugin, seq FROM joined ORDER BY 1",
    "whole": "PRAGMA integrity_check",
}
"""What must be the same in the end whether or not the daemon was killed in between.

A death in a call that its plugin still stands at, or with a batch that still waits, is counted
until that call succeeds. A batch is known by its earliest event: its number is the event that came
into it first, and which strand brings its event first is not determined.
"""


def kept(folder: Path) -> dict[str, list[Any]]:
    """Return what a state holds, as far as kills must not change it."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        found = {what: db.execute(sql).fetchall() for what, sql in _KEPT.items()}
    entries = journal_entries(folder)
    seqs = [entry.seq for entry in entries]
    newer = sorted((one.era, one.event_id, one.event_type) for one in entries if one.event_id > 5)
    return {
        "journal": newer,
        "seqs": [(max(seqs), seqs == [*range(min(seqs), max(seqs) + 1)])],
        "bodies": [(entry.event_id,) for entry in entries if not entry.whole],
        **found,
    }


def journal_entries(folder: Path) -> list[Entry]:
    """Return all entries of the journal, in its order, as they are read."""
    with closing(open_state(folder).reader()) as state:
        return state.read(0, 9999)


def journal(folder: Path) -> list[str]:
    """Return era and id of all events of the journal, in its order."""
    return [f"{entry.era}:{entry.event_id}" for entry in journal_entries(folder)]


def differences(wanted: dict[str, list[Any]], got: dict[str, list[Any]]) -> Iterator[str]:
    """Report how one state differs from another."""
    for what, rows in wanted.items():
        if rows != got[what]:
            less = [row for row in rows if row not in got[what]]
            more = [row for row in got[what] if row not in rows]
            yield f"{what}: without {less}, instead {more}"
