"""Calls that no client makes: each one is answered or refused, and none breaks the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.refused_calls import RefusedCallError

LINK = {"type": "Shot", "id": 1}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, -1, 2**70, 1.5, "", "x", "2026-01-01", "entity.Shot.code", [], {}, [1]),
        *([None], LINK, {"type": "Shot"}, {"type": ["x"], "id": 1}, [LINK], {"url": "x"}, [[]]),
    ]
)
METHODS = (
    *("read", "summarize", "create", "update", "delete", "revive", "schema_read", "follow"),
    *("schema_field_read", "schema_field_create", "schema_field_update", "following"),
    *("note_thread_contents", "activity_stream", "query_display_name_cache", "batch"),
    *("work_schedule_read", "work_schedule_update", "preferences_read", "export_page"),
)
NAMES = st.sampled_from(["code", "entity", "project", "id", "nope", "meta", "sg_status_list"])
CONDITIONS = st.fixed_dictionaries({"path": NAMES | ODD, "relation": ODD, "values": ODD})
FILTERS = ODD | st.fixed_dictionaries(
    {"logical_operator": st.just("and"), "conditions": st.lists(CONDITIONS | ODD, max_size=2)}
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["Shot", "Task", "EventLogEntry", "Note"]) | ODD,
        "id": st.just(1) | ODD,
        "filters": FILTERS,
        "return_fields": st.lists(NAMES, max_size=2) | ODD,
        "sorts": st.lists(st.fixed_dictionaries({"field_name": NAMES | ODD}), max_size=1) | ODD,
        "paging": st.just({"entities_per_page": 5, "current_page": 1}) | ODD,
        "fields": st.lists(st.fixed_dictionaries({"field_name": NAMES, "value": ODD})) | ODD,
        "properties": ODD | st.just([{"property_name": "name", "value": 1}]),
        "entity_types": st.fixed_dictionaries({"Shot": FILTERS}) | ODD,
        "summaries": ODD | st.just([{"field": "id", "type": "count"}]),
        "grouping": ODD | st.lists(st.fixed_dictionaries({"field": NAMES, "type": ODD})),
        **dict.fromkeys(("user", "entity", "note_id", "limit", "min_id", "entity_fields"), ODD),
        **dict.fromkeys(("start_date", "end_date", "date", "prefs", "page_id", "text"), ODD),
        **dict.fromkeys(("data_type", "field_name", "project_ids", "max_results"), ODD),
    },
)


@pytest.fixture(scope="module")
def asked() -> Iterator[Sandbox]:
    """A site that gets odd calls."""
    with Sandbox() as site:
        yield site


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(METHODS), PARAMETERS | ODD | st.lists(PARAMETERS | ODD, max_size=2))
def test_any_call_is_answered_or_refused(asked: Sandbox, method: str, params: Any) -> None:
    """Whatever a call holds, the answer is a result or a refusal of the API."""
    with suppress(RefusedCallError):
        asked.call(method, params)


def test_the_log_is_whole_after_them(asked: Sandbox) -> None:
    """Refused calls leave nothing behind that cannot be read."""
    fields = list(asked.database.schema.required_type("read", "Shot").fields)
    assert asked.find("Shot", [], fields)
    assert asked.event_rows()
