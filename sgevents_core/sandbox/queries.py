"""The API method `read`: filters, order, pages and the fields asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sgevents_core.sandbox.conditions import ALL, Compiler, Condition, matching
from sgevents_core.sandbox.id_conditions import count, places
from sgevents_core.sandbox.paths import Path, resolve
from sgevents_core.sandbox.presets import latest, preset
from sgevents_core.sandbox.records import Records
from sgevents_core.sandbox.refusal import RefusedCallError, listed, shown
from sgevents_core.sandbox.site_database import EVENT_LOG, Row, Rows, SiteDatabase

Getter = Callable[[Row], Any]

UNSORTED: Final = frozenset({"calculated", "password", "serializable", "summary", "url"})
"""Data types by which a site does not sort, though it accepts the request."""


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed call of `read`.

    Args:
        entity_type: The entity type asked for.
        filters: The group of conditions as the client sends it.
        fields: The fields wanted besides type and id; unknown ones are left out, as on a site.
        sorts: `{"field_name": ..., "direction": "asc" | "desc"}`; unknown ones are ignored.
        retired: Whether retired records are wanted instead of live ones.
        archived: Whether records of archived projects count.
        size: The number of rows per page.
        page: The page wanted; the first is 1.
        counts: What is returned about paging: nothing, all, or only whether there is a next page.
        latest: The key by which only the latest matching row is returned for each linked record;
            None for all rows.
    """

    entity_type: str
    filters: dict[str, Any]
    fields: tuple[str, ...]
    sorts: tuple[dict[str, str], ...] = ()
    retired: bool = False
    archived: bool = True
    size: int = 500
    page: int = 1
    counts: bool | None = True
    latest: str | None = None


def query(params: dict[str, Any], largest: int) -> Query:
    """Return the query of a `read` call.

    Args:
        params: The client's parameters.
        largest: The largest page, in rows.

    Raises:
        RefusedCallError: The paging or a filter preset is not valid.
    """
    paging = params.get("paging") or {}
    if not isinstance(paging, dict):
        raise RefusedCallError(f"API read() invalid/missing hash 'paging': {shown(paging)}")
    size, page = paging.get("entities_per_page", largest), paging.get("current_page", 1)
    for name, value in (("entities_per_page", size), ("current_page", page)):
        if not isinstance(value, int) or value < 1:
            raise RefusedCallError(
                f"API read() invalid/missing integer 'paging' '{name}':\n{shown(paging)}"
            )
    if size > largest:
        raise RefusedCallError(
            f"API read() 'paging' 'entities_per_page' may be {largest} at most: {size}"
        )
    return Query(
        entity_type=params.get("type", ""),
        filters=params.get("filters") or {"logical_operator": "and", "conditions": []},
        fields=listed("read", params, "return_fields", str) or ("id",),
        sorts=listed("read", params, "sorts", dict),
        retired=params.get("return_only") == "retired",
        archived=params.get("include_archived_projects") is not False,
        size=size,
        page=page,
        counts=_wanted_counts(params),
        latest=preset(params.get("additional_filter_presets")),
    )


def _wanted_counts(params: dict[str, Any]) -> bool | None:
    if "return_paging_info_without_counts" in params:
        return False if params["return_paging_info_without_counts"] else None
    return True if params.get("return_paging_info", True) else None


def read(database: SiteDatabase, asked: Query, rows: Rows, script: str | None) -> dict[str, Any]:
    """Return the results of a query: a page of entities and the paging information asked for.

    Args:
        database: The database.
        asked: The query.
        rows: The rows of its type that the caller can see.
        script: The caller's script, for conditions that look at other rows.

    Raises:
        RefusedCallError: A condition names something that does not exist or is not valid.
    """
    compiler = Compiler(database, "read", script)
    condition = compiler.group(asked.entity_type, asked.filters)
    if not asked.archived:
        condition = without_archived(database, asked.entity_type, condition)
    if asked.latest is not None:
        chosen = latest(database, matching(rows, condition), asked.latest)
        rows, condition = Rows([row.id for row in chosen], rows.get), ALL
    offset = (asked.page - 1) * asked.size
    found = _rows(database, asked, rows, condition, offset)
    project = projection(database, asked.entity_type, asked.fields)
    results: dict[str, Any] = {"entities": [project(row) for row in found[: asked.size]]}
    if asked.counts is not None:
        results["paging_info"] = _paging(asked, rows, condition, more=len(found) > asked.size)
    return results


def without_archived(database: SiteDatabase, entity_type: str, condition: Condition) -> Condition:
    """Return the condition that also excludes what belongs to an archived project."""
    fields = database.schema.get("read", entity_type).fields
    path = "archived" if entity_type == "Project" else "project.Project.archived"
    if entity_type != "Project" and "project" not in fields:
        return condition
    archived = resolve(database, "read", entity_type, path).get
    test = condition.test
    return replace(condition, test=lambda row: test(row) and not archived(row), exact=False)


def _rows(
    database: SiteDatabase, asked: Query, rows: Rows, condition: Condition, offset: int
) -> Sequence[Row]:
    """Return the rows of a page and one more, if there is one."""
    end = offset + asked.size + 1
    direction = _by_id(asked)
    if direction is None:
        return _sorted(database, asked, list(matching(rows, condition)))[offset:end]
    descending = direction == "desc"
    if not condition.exact:
        return list(islice(matching(rows, condition, descending=descending), offset, end))
    return _exact_rows(rows, condition, offset, end, descending=descending)


def _exact_rows(
    rows: Rows, condition: Condition, offset: int, end: int, *, descending: bool
) -> list[Row]:
    """Return rows by their positions, so that a late page costs no more than the first."""
    found: list[Row] = []
    for span in places(rows.ids, condition.ranges, descending=descending):
        part = span[max(offset, 0) : max(end, 0)]
        found.extend(rows.get(rows.ids[place]) for place in part)
        offset, end = offset - len(span), end - len(span)
        if end <= 0:
            break
    return found


def _by_id(asked: Query) -> str | None:
    """Return the direction if the order asked for is that of the ids."""
    if not asked.sorts:
        return "asc"
    first = asked.sorts[0]
    # The timestamps of the log ascend with its ids.
    same = ("id", "created_at") if asked.entity_type == EVENT_LOG else ("id",)
    return first.get("direction", "asc") if first.get("field_name") in same else None


def _sorted(database: SiteDatabase, asked: Query, rows: list[Row]) -> list[Row]:
    for sort in reversed(asked.sorts):
        try:
            path = resolve(database, "read", asked.entity_type, sort.get("field_name", ""))
        except RefusedCallError:
            continue
        if path.field.data_type in UNSORTED:
            continue
        _sort(rows, _sort_key(database.records, path), sort.get("direction") == "desc")
    return rows


def _sort(rows: list[Row], key: Getter, descending: bool) -> None:
    """Sort rows in place, those without a value last in both directions."""
    rows.sort(key=key, reverse=descending)
    if descending:
        rows.sort(key=lambda row: key(row)[0])


def _sort_key(records: Records, path: Path) -> Getter:
    def key(row: Row) -> tuple[bool, Any]:
        value = path.get(row)
        if path.field.links:
            value = _name(records, value)
        if isinstance(value, (dict, list, tuple)):
            value = shown(value)
        return (value is None, value.casefold() if isinstance(value, str) else value)

    return key


def _name(records: Records, value: Any) -> Any:
    first = value[0] if value and isinstance(value, list) else value
    link = records.link(first) if first else None
    return (link["name"] or "") if link else None


def _paging(asked: Query, rows: Rows, condition: Condition, *, more: bool) -> dict[str, Any]:
    paging: dict[str, Any] = {"current_page": asked.page, "entities_per_page": asked.size}
    if asked.counts is False:
        return {**paging, "has_next_page": more}
    total = how_many(rows, condition)
    pages = max(1, -(-total // asked.size))
    return {**paging, "entity_count": total, "page_count": pages}


def how_many(rows: Rows, condition: Condition) -> int:
    """Return the number of matching rows."""
    if condition.exact:
        return count(rows.ids, condition.ranges)
    return sum(1 for _ in matching(rows, condition))


def projection(
    database: SiteDatabase, entity_type: str, fields: Sequence[str]
) -> Callable[[Row], dict[str, Any]]:
    """Return the function that makes the dict of a row: type, id and the fields asked for."""
    getters: list[tuple[str, Getter]] = []
    for name in dict.fromkeys(fields):
        getter = _shown_getter(database, entity_type, name)
        if getter is not None and name not in ("type", "id"):
            getters.append((name, getter))

    def project(row: Row) -> dict[str, Any]:
        shown_row: dict[str, Any] = {"type": entity_type, "id": row.id}
        for name, get in getters:
            shown_row[name] = get(row)
        return shown_row

    return project


def _by_name(link: dict[str, Any]) -> tuple[str, int]:
    """Return links sorted by name, whatever order they were written in; replies by age."""
    return str(link["name"] or "").casefold(), link["id"]


def _shown_getter(database: SiteDatabase, entity_type: str, name: str) -> Getter | None:
    try:
        path = resolve(database, "read", entity_type, name, shown=True)
    except RefusedCallError:
        return None
    if path.several:
        return None
    get, link = path.get, database.records.link
    if not path.field.links:
        return get
    if path.field.name == "replies":
        return lambda row: [link(ref) for ref in get(row) or ()]
    if path.field.many:
        return lambda row: sorted(filter(None, map(link, get(row) or ())), key=_by_name)
    return lambda row: link(get(row))
