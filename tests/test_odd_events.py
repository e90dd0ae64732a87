"""Event against generated rows that no sane site would send."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sgevents_core import Event
from sgevents_core.events import CLASSIC_KEYS, Route, route_of

texts = st.text("aZ_9 é\n\x00", max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary() | st.datetimes()
)
keys = st.sampled_from(["type", "id", "name", "entity_id", "", 7, None])
lists = st.lists(scalars, max_size=3)
anything = scalars | lists | lists.map(tuple) | st.dictionaries(keys, scalars | lists, max_size=3)
odd_types = st.lists(
    st.sampled_from(["Shotgun", "Task", "New", "Change", "Reading", "Login", "View", "", "é"]),
    max_size=6,
).map("_".join)
entity = st.fixed_dictionaries(
    {}, optional={"type": anything | st.just("Shot"), "id": anything, "name": anything}
)
odd_meta = st.fixed_dictionaries(
    {},
    optional={
        "entity_type": anything | st.sampled_from(["Task", "Reading"]),
        "entity_id": anything,
        "attribute_name": anything,
        "old_value": anything,
        "new_value": anything,
        "added": anything,
        "removed": anything,
        "in_create": anything,
        "is_transient": anything,
        "actual_attribute_changed": anything,
        "original_event_log_entry_id": anything,
        "sudo_actual_user": anything,
    },
)
odd_rows = st.fixed_dictionaries(
    {},
    optional={
        "id": anything,
        "event_type": odd_types | anything,
        "attribute_name": anything,
        "meta": odd_meta | anything | odd_meta.map(lambda meta: json.dumps(meta, default=str)),
        "entity": entity | anything,
        "user": entity | anything,
        "project": entity | anything,
        "session_uuid": anything,
        "created_at": anything | st.sampled_from(["2026-01-31T12:00:00Z", "Z", "0001-01-01"]),
        "type": anything,
        "sg_own": anything,
    },
)
ATTRIBUTES: dict[str, type | tuple[type | None, ...]] = {
    "id": int,
    "event_type": str,
    "domain": str,
    "entity_type": (str, None),
    "entity_id": (int, None),
    "action": (str, None),
    "attribute": (str, None),
    "added": list,
    "removed": list,
    "in_create": bool,
    "is_transient": bool,
    "is_back_reference": bool,
    "original_event_id": (int, None),
    "project": (dict, None),
    "project_id": (int, None),
    "user": (dict, None),
    "script": (str, None),
    "sudo_user": (dict, None),
    "entity": (dict, None),
    "session_uuid": (str, None),
    "created_at": (datetime, None),
    "meta": dict,
    "row": dict,
}


@given(odd_rows)
def test_no_row_is_too_strange(row: dict[str, Any]) -> None:
    """Whatever a row has, nothing raises and every attribute has the type it promises."""
    event = Event(row)
    for name, promised in ATTRIBUTES.items():
        value = getattr(event, name)
        kinds = promised if isinstance(promised, tuple) else (promised,)
        assert (
            value is None
            if None in kinds and value is None
            else isinstance(value, tuple(kind for kind in kinds if kind))
        ), name
    assert event.created_at is None or event.created_at.tzinfo is not None
    assert not isinstance(event.entity_id, bool)
    assert {key for key, _ in event.items()} == {*row, *CLASSIC_KEYS}
    assert len(event) == len(list(event))
    assert str(event.id) in str(event)
    assert repr(event) == f"<{event}>"
    _ = (event.old_value, event.new_value, hash(event))


@given(odd_rows)
@example({"event_type": "A_&lt;_New", "attribute_name": "&lt;", "entity": {"type": "&lt;"}})
@example({"event_type": "Shotgun_Shot_View", "attribute_name": "a", "entity": {"type": "Page"}})
@example(
    {
        "event_type": "Shotgun_Shot_Change",
        "attribute_name": None,
        "entity": {"type": "Shot"},
        "meta": {"attribute_name": "code"},
    }
)
def test_the_route_is_what_the_attributes_say(row: dict[str, Any]) -> None:
    """However odd a row is, its route is the event's type, attribute, entity type and project."""
    event = Event(row)
    said = (event.event_type, event.attribute, event.entity_type, event.project_id)
    assert Route.read(route_of(event)) == said
