"""Searching for words in names across entity types: the API method behind `text_search`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sgevents_core.sandbox.attention import Call
from sgevents_core.sandbox.callers import SignedIn
from sgevents_core.sandbox.conditions import Compiler, matching
from sgevents_core.sandbox.paths import resolve
from sgevents_core.sandbox.records import Record
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase

_METHOD: Final = "query_display_name_cache"
_USUAL_LIMIT: Final = 25


def _text_search(database: SiteDatabase, caller: SignedIn, call: Call) -> Call:
    terms = str(call.get("text") or "").casefold().split()
    wanted = call.get("entity_types")
    if not terms or not isinstance(wanted, dict):
        raise RefusedCallError(f"API {_METHOD}() invalid/missing 'text' or 'entity_types'")
    projects = call.get("project_ids") or []
    if not isinstance(projects, list):
        raise RefusedCallError(f"API {_METHOD}() invalid array 'project_ids': {shown(projects)}")
    found = [
        record
        for entity_type, filters in wanted.items()
        for record in _of_type(database, caller, entity_type, filters)
        if _matches(database, record, terms) and (not projects or _project(record) in projects)
    ]
    found.sort(key=lambda record: len(str(record.link["name"])))
    limit = call.get("max_results") or _USUAL_LIMIT
    if not isinstance(limit, int) or limit < 1:
        raise RefusedCallError(f"API {_METHOD}() invalid 'max_results': {shown(limit)}")
    return {"matches": [_match(database, record) for record in found[:limit]], "terms": terms}


def _of_type(
    database: SiteDatabase, caller: SignedIn, entity_type: str, filters: Any
) -> Iterator[Record]:
    database.schema.get(_METHOD, entity_type)
    if entity_type == EVENT_LOG:
        raise RefusedCallError(f"API {_METHOD}() rows of the event log have no names to search")
    condition = Compiler(database, _METHOD, caller.script).group(entity_type, filters)
    for row in matching(database.rows(entity_type), condition):
        if isinstance(row, Record):
            yield row


def _matches(database: SiteDatabase, record: Record, terms: list[str]) -> bool:
    """Return whether every term is in the record's name or in that of a linked record."""
    name = f"{record.link['name'] or ''}\n{_linked(database, record)[1]}".casefold()
    return all(term in name for term in terms)


def _linked(database: SiteDatabase, record: Record) -> list[str]:
    ref = record.values.get("entity")
    link = database.records.link(ref) if ref else None
    return [link["type"], str(link["name"] or "")] if link else ["", ""]


def _project(record: Record) -> int | None:
    project = record.ref if record.type == "Project" else record.values.get("project")
    return project[1] if project else None


def _match(database: SiteDatabase, record: Record) -> Call:
    return {
        "id": record.id,
        "type": record.type,
        "name": record.link["name"],
        "project_id": _project(record),
        "image": resolve(database, "read", record.type, "image").get(record),
        "links": _linked(database, record),
        "status": record.values.get("sg_status_list"),
    }


METHODS: Final = {_METHOD: _text_search}
