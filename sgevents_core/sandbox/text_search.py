"""Searching for words in names across entity types: the API method behind `text_search`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.sandbox.callers import ApiCaller
from sgevents_core.sandbox.field_paths import resolve_path
from sgevents_core.sandbox.filter_conditions import FilterCompiler, matching_rows
from sgevents_core.sandbox.following import JsonObject
from sgevents_core.sandbox.records import Record
from sgevents_core.sandbox.refused_calls import refused_call, refused_value
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase

_SEARCH_METHOD: Final = "query_display_name_cache"
_DEFAULT_LIMIT: Final = 25


def _search_names(database: SiteDatabase, caller: ApiCaller, parameters: JsonObject) -> JsonObject:
    terms = str(parameters.get("text") or "").casefold().split()
    filters_by_type = parameters.get("entity_types")
    if not terms or not isinstance(filters_by_type, dict):
        raise refused_call(_SEARCH_METHOD, "invalid/missing 'text' or 'entity_types'")
    project_ids = parameters.get("project_ids") or []
    if not isinstance(project_ids, list):
        raise refused_value(_SEARCH_METHOD, "invalid array 'project_ids'", project_ids)
    found = [
        record
        for entity_type, filters in filters_by_type.items()
        for record in _records_matching(database, caller, entity_type, filters)
        if _has_all_terms(database, record, terms)
        and (not project_ids or _project_id(record) in project_ids)
    ]
    found.sort(key=lambda record: len(str(record.link["name"])))
    limit = parameters.get("max_results") or _DEFAULT_LIMIT
    if not isinstance(limit, int) or limit < 1:
        raise refused_value(_SEARCH_METHOD, "invalid 'max_results'", limit)
    return {
        "matches": [_search_result(database, record) for record in found[:limit]],
        "terms": terms,
    }


def _records_matching(
    database: SiteDatabase, caller: ApiCaller, entity_type: str, filters: Any
) -> Iterator[Record]:
    database.schema.required_type(_SEARCH_METHOD, entity_type)
    if entity_type == EVENT_LOG:
        raise refused_call(_SEARCH_METHOD, "rows of the event log have no names to search")
    compiler = FilterCompiler(database, _SEARCH_METHOD, caller.script_name)
    condition = compiler.compile_group(entity_type, filters)
    for row in matching_rows(database.visible_rows(entity_type), condition):
        if isinstance(row, Record):
            yield row


def _has_all_terms(database: SiteDatabase, record: Record, terms: list[str]) -> bool:
    """Return whether every term is in the record's name or in that of a linked record."""
    names = f"{record.link['name'] or ''}\n{_linked_type_and_name(database, record)[1]}".casefold()
    return all(term in names for term in terms)


def _linked_type_and_name(database: SiteDatabase, record: Record) -> list[str]:
    ref = record.values.get("entity")
    link = database.records.link(ref) if ref else None
    return [link["type"], str(link["name"] or "")] if link else ["", ""]


def _project_id(record: Record) -> int | None:
    return record.project_ref[1] if record.project_ref else None


def _search_result(database: SiteDatabase, record: Record) -> JsonObject:
    return {
        "id": record.id,
        "type": record.type,
        "name": record.link["name"],
        "project_id": _project_id(record),
        "image": resolve_path(database, "read", record.type, "image").read_value(record),
        "links": _linked_type_and_name(database, record),
        "status": record.values.get("sg_status_list"),
    }


API_METHODS: Final = {_SEARCH_METHOD: _search_names}
