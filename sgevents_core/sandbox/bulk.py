"""Filling the event log with very many rows quickly, for sites as large as real ones."""

from __future__ import annotations

import gc
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final

from sgevents_core.moments import moment_of, stamp_of
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.eventlog import EventRow
from sgevents_core.sandbox.records import Record, Ref
from sgevents_core.sandbox.site_database import SiteDatabase

PATTERNS: Final = 2_000
"""The number of different rows to choose from; their parts are shared."""

A_DAY: Final = 50_000
"""Rows per day, which decides how far back the first one lies."""

_STATUSES: Final = ("wtg", "rdy", "ip", "rev", "apr", "fin")


def fill(database: SiteDatabase, caller: SignedIn, count: int, seed: int) -> range:
    """Append rows up to the present time; return their ids.

    They concern the existing records (or a person logging in, if there are none), which stay as
    they are.

    Args:
        database: The database whose log is filled.
        caller: The caller on rows that no person has made.
        count: The number of rows.
        seed: The seed of all chance.
    """
    die = random.Random(f"bulk {seed}")  # noqa: S311 - chance, not a secret
    with database.lock, _no_collections():
        patterns = _patterns(database, caller, die)
        ends = database.clock()
        begins = max(ends - timedelta(days=count / A_DAY), _last(database, ends))
        stamps = _stamps(begins, ends, count)
        chosen = die.choices(patterns, k=count)
        first = database.log.next_id
        rows = [
            EventRow(id=event_id, created_at=stamp, **pattern)
            for event_id, stamp, pattern in zip(
                range(first, first + count), stamps, chosen, strict=True
            )
        ]
        if rows:
            database.log.extend(rows)
        return range(first, first + count)


@contextmanager
def _no_collections() -> Iterator[None]:
    # Creating a million objects triggers garbage collections that find nothing and take most of the
    # time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _last(database: SiteDatabase, ends: datetime) -> datetime:
    highest = database.log.highest_id
    newest = moment_of(database.log.row(highest).created_at) if highest else None
    return ends - _EVER if newest is None else min(ends, newest)


_EVER: Final = timedelta(days=36_500)


def _stamps(begins: datetime, ends: datetime, count: int) -> Iterator[str]:
    """Return ascending timestamps."""
    step = (ends - begins).total_seconds() / max(1, count)
    midnight = begins.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    times, offset = _times_of_day(), (begins - midnight).total_seconds()
    day, date = -1, ""
    for place in range(count):
        now_day, second = divmod(int(offset + place * step), len(times))
        if now_day != day:
            day, date = now_day, stamp_of(midnight + timedelta(days=now_day))[:10]
        yield date + times[second]


@lru_cache(maxsize=1)
def _times_of_day() -> list[str]:
    """Return the second halves of timestamps, one for each second of a day."""
    return [
        f"T{hour:02d}:{minute:02d}:{second:02d}Z"
        for hour in range(24)
        for minute in range(60)
        for second in range(60)
    ]


def _patterns(database: SiteDatabase, caller: SignedIn, die: random.Random) -> list[dict[str, Any]]:
    people = [person.ref for person in database.records.of_type("HumanUser")]
    users: list[Ref | None] = [*people] or [caller.user]
    sessions = [str(uuid.UUID(int=die.getrandbits(128), version=4)) for _ in range(64)]
    about: list[Record] = [
        record
        for entity_type in ("Task", "Shot", "Asset", "Version", "Note")
        for record in database.records.of_type(entity_type)
    ]
    return [
        {
            **(_about(die.choice(about), die) if about else {"event_type": "Shotgun_User_Login"}),
            "user": die.choice(users),
            "session_uuid": die.choice(sessions),
        }
        for _ in range(PATTERNS)
    ]


def _about(record: Record, die: random.Random) -> dict[str, Any]:
    of = {"entity": record.ref, "project": record.values.get("project")}
    meta: dict[str, Any] = {"entity_type": record.type, "entity_id": record.id}
    if die.random() < 0.1:
        return {
            "event_type": f"Shotgun_{record.type}_New",
            "meta": {"type": "new_entity", **meta},
            **of,
        }
    old, new = die.sample(_STATUSES, 2)
    change = {
        "type": "attribute_change",
        "attribute_name": "sg_status_list",
        **meta,
        "field_data_type": "status_list",
        "old_value": old,
        "new_value": new,
    }
    return {
        "event_type": f"Shotgun_{record.type}_Change",
        "attribute_name": "sg_status_list",
        "meta": change,
        **of,
    }
