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

from sgevents_core.moments import api_timestamp, moment_of
from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.event_log import EventRow
from sgevents_core.sandbox.records import EntityRef, Record
from sgevents_core.sandbox.site_database import SiteDatabase

PATTERN_COUNT: Final = 2_000
"""The number of different rows to choose from; their parts are shared."""

ROWS_PER_DAY: Final = 50_000
"""Rows per day, which decides how far back the first one lies."""

_STATUS_CODES: Final = ("wtg", "rdy", "ip", "rev", "apr", "fin")


def fill_event_log(database: SiteDatabase, caller: ApiCaller, row_count: int, seed: int) -> range:
    """Append rows up to the present time; return their ids.

    The rows concern the existing records, which stay as they are, or logins if there are none.

    Args:
        database: The database whose log is filled.
        caller: The user of the rows if the site has no people.
        row_count: The number of rows.
        seed: The seed of everything random.
    """
    chance = random.Random(f"bulk {seed}")  # noqa: S311 - chance, not a secret
    with database.lock, _without_garbage_collection():
        patterns = _row_patterns(database, caller, chance)
        last_moment = database.clock()
        first_moment = max(
            last_moment - timedelta(days=row_count / ROWS_PER_DAY),
            _newest_row_time(database, last_moment),
        )
        timestamps = _ascending_timestamps(first_moment, last_moment, row_count)
        chosen_patterns = chance.choices(patterns, k=row_count)
        first_id = database.log.next_id
        event_rows = [
            EventRow(id=event_id, created_at=timestamp, **row_pattern)
            for event_id, timestamp, row_pattern in zip(
                range(first_id, first_id + row_count), timestamps, chosen_patterns, strict=True
            )
        ]
        if event_rows:
            database.log.append_rows(event_rows)
        return range(first_id, first_id + row_count)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    # A million new objects trigger garbage collections that find nothing and take most of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _newest_row_time(database: SiteDatabase, last_moment: datetime) -> datetime:
    highest_id = database.log.highest_id
    newest_moment = moment_of(database.log.row(highest_id).created_at) if highest_id else None
    return last_moment - _LONGEST_TIME if newest_moment is None else min(last_moment, newest_moment)


_LONGEST_TIME: Final = timedelta(days=36_500)


def _ascending_timestamps(
    first_moment: datetime, last_moment: datetime, row_count: int
) -> Iterator[str]:
    """Return ascending timestamps, one for each row."""
    seconds_per_row = (last_moment - first_moment).total_seconds() / max(1, row_count)
    first_day = first_moment.astimezone(timezone.utc)
    midnight = first_day.replace(hour=0, minute=0, second=0, microsecond=0)
    times, start_second = _timestamp_endings(), (first_moment - midnight).total_seconds()
    current_day, date_text = -1, ""
    for row_index in range(row_count):
        row_day, second_of_day = divmod(int(start_second + row_index * seconds_per_row), len(times))
        if row_day != current_day:
            current_day, date_text = row_day, api_timestamp(midnight + timedelta(days=row_day))[:10]
        yield date_text + times[second_of_day]


@lru_cache(maxsize=1)
def _timestamp_endings() -> list[str]:
    """Return the second halves of timestamps, one for each second of a day."""
    return [
        f"T{hour:02d}:{minute:02d}:{second:02d}Z"
        for hour in range(24)
        for minute in range(60)
        for second in range(60)
    ]


def _row_patterns(
    database: SiteDatabase, caller: ApiCaller, chance: random.Random
) -> list[dict[str, Any]]:
    person_refs = [person.ref for person in database.records.of_type("HumanUser")]
    user_refs: list[EntityRef | None] = [*person_refs] or [caller.user_ref]
    session_uuids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(64)]
    login: dict[str, Any] = {"event_type": "Shotgun_User_Login"}
    logged_records: list[Record] = [
        record
        for entity_type in ("Task", "Shot", "Asset", "Version", "Note")
        for record in database.records.of_type(entity_type)
    ]

    def row_pattern() -> dict[str, Any]:
        pattern = (
            _record_pattern(chance.choice(logged_records), chance) if logged_records else login
        )
        user_ref, session_uuid = chance.choice(user_refs), chance.choice(session_uuids)
        return {**pattern, "user": user_ref, "session_uuid": session_uuid}

    return [row_pattern() for _ in range(PATTERN_COUNT)]


def _record_pattern(record: Record, chance: random.Random) -> dict[str, Any]:
    links = {"entity": record.ref, "project": record.values.get("project")}
    meta: dict[str, Any] = {"entity_type": record.type, "entity_id": record.id}
    if chance.random() < 0.1:
        return {
            "event_type": f"Shotgun_{record.type}_New",
            "meta": {"type": "new_entity", **meta},
            **links,
        }
    old_status, new_status = chance.sample(_STATUS_CODES, 2)
    attribute_change = {
        "type": "attribute_change",
        "attribute_name": "sg_status_list",
        **meta,
        "field_data_type": "status_list",
        "old_value": old_status,
        "new_value": new_status,
    }
    return {
        "event_type": f"Shotgun_{record.type}_Change",
        "attribute_name": "sg_status_list",
        "meta": attribute_change,
        **links,
    }
