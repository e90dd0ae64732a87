"""A state with records of every kind, in any home, and everything that it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from journal_rows import AT, event_row
from state_values import failure

from sgevents_core.choices import OrderBy
from sgevents_core.state.batches import BatchedEvent
from sgevents_core.state.call_figures import CallFigure, FeedFigure, MinuteFigures
from sgevents_core.state.deferred import DeferredCall, DeferredEvent, IgnoredCall
from sgevents_core.state.done_parts import DonePart
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState, MissingRange, ParkedRange
from sgevents_core.state.imported import ImportedPosition
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import PluginRecord, StrandRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import State, Writer
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.sqlite.database import DATABASE, Database
from sgevents_core.state.sqlite.moved_files import read_journal
from sgevents_core.state.steps import CallDeaths, Step
from sgevents_core.state.strand_places import StrandPlaces

ENTITY: OrderBy = "entity"
_DIFFERENT = {("lanes", "fence"), ("set_aside", "number")}
"""Columns that say nothing but who writes, and in which order records are numbered."""
_PAGE_EVENTS = 40
"""Events that come together, and are one record on a disk."""


def live_a_day(state: State, day: int) -> None:
    """Let everything happen that leaves a record: each day has ids and entries of its own.

    Args:
        state: The state.
        day: The day, from 0.
    """
    state.folder.mkdir(exist_ok=True)
    with closing(state.writer()) as writer:
        if not day:
            positions = {"classic": ImportedPosition(4, ((1, 2),))}
            writer.import_positions(FeedChange(FeedState(floor=0)), positions, "main")
        _follow_the_site(writer, day)
        _work_in_lanes(writer, day)
    with closing(state.requests()) as requests:
        requests.ask("pause", "notify", {"day": day}, "anna@host")
        replayed = [ReplayEvent(1, 0, 101, b"{}"), ReplayEvent(1, 0, 102, b"{}")]
        number = requests.ask("replay", "count", {}, "ben@host", replayed)
        requests.answer(number - 1, RequestAnswer("done", "paused"))


def _follow_the_site(writer: Writer, day: int) -> None:
    first = 100 * day
    rows = [TakenRow(event_row(first + number), number == 3) for number in range(1, 8)]
    change = FeedChange(
        FeedState(frontier=first + 20, anchor_at=AT, marks=[(first, AT)], recent=[(first, AT)]),
        put=[MissingRange(first + 9, first + 10, AT, 5.5, True)],
        put_gone=[(first + 11, first + 12)],
        closed=[(first + 13, first + 14)],
        put_parked=[ParkedRange(first + 15, first + 16, 2, AT)],
        dropped=[(first + 17, first + 18)],
    )
    writer.append(writer.end(), rows, change)
    page = [TakenRow(event_row(first + number), False) for number in range(21, 21 + _PAGE_EVENTS)]
    writer.append(writer.end(), page, FeedChange(change.state))
    writer.set_aside(first + 19, "it is odd", "site", 5.0)
    (entry,) = writer.read(writer.end() - 1, 1)
    writer.pass_over(entry, ["notify"], "damaged")
    writer.keep_scripts({first: f"robot {day}"}, {})
    figures = (CallFigure(60, "notify", "c", 3, 1, {4: 3}),)
    writer.record_figures(MinuteFigures(figures, (FeedFigure(60, 1, 2, 3.5),)), 70.0)


def _work_in_lanes(writer: Writer, day: int) -> None:
    seq = (7 + _PAGE_EVENTS) * day + 1
    held = PluginRecord("notify", "main", Progress(seq), apart=True)
    held.pause("a person asked")
    fence = writer.take_lane("main")
    done = frozenset({CallKey("notify", "on_new")})
    steps = [
        Step(progress=Progress(seq, done), plugins=[held], store={"notify": {"day": day}}),
        Step(failure=failure(seq=seq, outcome="dead-letter"), dead=True),
        Step(failure=failure(seq=seq + 1, traceback='Traceback\n  File "a", line 1\nE: 1')),
        Step(doubts=[("notify", "c", seq + 2, 3)]),
        Step(deaths=[CallDeaths("notify", "c", seq + 2, 1, 0, "ended", "")]),
        Step(deferred=DeferredEvent(DeferredCall("notify", "c", 1, seq, seq, 9.0, 8.0), b"{}")),
        Step(ignored=IgnoredCall("notify", "c", seq, "why")),
        Step(done_part=DonePart("notify", "c", 1, 100 * day + 1, "mail")),
        Step(
            collected=BatchedEvent(
                "notify", "b", day + 1, "key", seq, 1, 100 * day + 1, b"{}", 0, 5.0, 9.0
            )
        ),
    ]
    for step in steps:
        writer.record("main", fence, step)
    fence = writer.take_lane("other")
    places = StrandPlaces.at(ENTITY, Progress(seq)).with_place(3, Progress(seq + 2))
    record = PluginRecord("count", "other", Progress(seq))
    record.join_strands(ENTITY)
    strand_record = StrandRecord(record, 3, Progress(seq), apart=True)
    strand_record.hold(9.0, "it waits")
    writer.record(
        "other", fence, Step(progress=Progress(seq), plugins=[record, strand_record], places=places)
    )
    writer.record("other", fence, Step(request=RequestStep(2 * day + 1, progress={"done": day})))
    writer.record_first_cursors()


def everything_in(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that the database of a folder holds, as far as it says anything, by table.

    The journal is one table, whatever is stored as a page.
    """
    with closing(Database(folder, read_only=True)) as database:
        journal = [*read_journal(database)]
    with closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as database:
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'log\\_%'"
            " ESCAPE '\\' AND name <> 'sqlite_sequence' AND name NOT LIKE 'sqlite_stat%'"
        ).fetchall()
        tables = {name: _rows_of(database, name) for (name,) in names}
    del tables["journal_pages"]
    return {**tables, "journal": journal}


def _rows_of(database: sqlite3.Connection, table_name: str) -> list[tuple[Any, ...]]:
    columns = [
        name
        for _, name, *_ in database.execute(f"PRAGMA table_info({table_name})")
        if (table_name, name) not in _DIFFERENT
    ]
    rows = database.execute(f"SELECT {', '.join(columns)} FROM {table_name}")
    return sorted(rows, key=repr)
