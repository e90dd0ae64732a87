"""The API method `read`: filters, order, pages and requested fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sgevents_core.sandbox.field_paths import FieldPath, resolve_path
from sgevents_core.sandbox.filter_conditions import (
    MATCHES_ALL_ROWS,
    FilterCompiler,
    FilterCondition,
    matching_rows,
)
from sgevents_core.sandbox.filter_presets import latest_preset, latest_rows
from sgevents_core.sandbox.id_ranges import count_ids, index_ranges
from sgevents_core.sandbox.records import Records
from sgevents_core.sandbox.refused_calls import (
    RefusedCallError,
    array_parameter,
    refused_call,
    refused_value,
    ruby_text,
)
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase, SiteRow, VisibleRows

RowReader = Callable[[SiteRow], Any]

UNSORTABLE_TYPES: Final = frozenset({"calculated", "password", "serializable", "summary", "url"})
"""Data types by which a site does not sort, though it accepts the request."""


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """A parsed call of `read`.

    Args:
        entity_type: The entity type.
        filters: The group of conditions as the client sends it.
        fields: The requested fields besides type and id; unknown ones are left out, as on a site.
        sort_orders: `{"field_name": ..., "direction": "asc" | "desc"}`; unknown ones are ignored.
        retired: Whether retired records are read instead of live ones.
        includes_archived: Whether records of archived projects count.
        page_size: The number of rows per page.
        page_number: The page; the first is 1.
        paging_counts: What is returned about paging: all (True), only whether there is a next page
            (False), or nothing (None).
        latest_key: The key that distinguishes the latest row for each linked record, which alone is
            returned; None for all rows.
    """

    entity_type: str
    filters: dict[str, Any]
    fields: tuple[str, ...]
    sort_orders: tuple[dict[str, str], ...] = ()
    retired: bool = False
    includes_archived: bool = True
    page_size: int = 500
    page_number: int = 1
    paging_counts: bool | None = True
    latest_key: str | None = None


def parse_query(parameters: dict[str, Any], largest_page: int) -> ReadQuery:
    """Return the query of a `read` call.

    Args:
        parameters: The client's parameters.
        largest_page: The largest page, in rows.

    Raises:
        RefusedCallError: The paging or a filter preset is not valid.
    """
    paging = parameters.get("paging") or {}
    if not isinstance(paging, dict):
        raise refused_value("read", "invalid/missing hash 'paging'", paging)
    page_size = paging.get("entities_per_page", largest_page)
    page_number = paging.get("current_page", 1)
    for key, value in (("entities_per_page", page_size), ("current_page", page_number)):
        if not isinstance(value, int) or value < 1:
            reason = f"invalid/missing integer 'paging' '{key}':\n{ruby_text(paging)}"
            raise refused_call("read", reason)
    if page_size > largest_page:
        reason = f"'paging' 'entities_per_page' may be {largest_page} at most: {page_size}"
        raise refused_call("read", reason)
    return ReadQuery(
        entity_type=parameters.get("type", ""),
        filters=parameters.get("filters") or {"logical_operator": "and", "conditions": []},
        fields=array_parameter("read", parameters, "return_fields", str) or ("id",),
        sort_orders=array_parameter("read", parameters, "sorts", dict),
        retired=parameters.get("return_only") == "retired",
        includes_archived=parameters.get("include_archived_projects") is not False,
        page_size=page_size,
        page_number=page_number,
        paging_counts=_requested_counts(parameters),
        latest_key=latest_preset(parameters.get("additional_filter_presets")),
    )


def _requested_counts(parameters: dict[str, Any]) -> bool | None:
    if "return_paging_info_without_counts" in parameters:
        return False if parameters["return_paging_info_without_counts"] else None
    return True if parameters.get("return_paging_info", True) else None


def read_entities(
    database: SiteDatabase, query: ReadQuery, rows: VisibleRows, script_name: str | None
) -> dict[str, Any]:
    """Return the results of a query: a page of entities and the requested paging information.

    Args:
        database: The database.
        query: The query.
        rows: The rows of its type that the caller can see.
        script_name: The caller's script, for conditions that look at other rows.

    Raises:
        RefusedCallError: A condition names something that does not exist or is not valid.
    """
    compiler = FilterCompiler(database, "read", script_name)
    condition = compiler.compile_group(query.entity_type, query.filters)
    if not query.includes_archived:
        condition = exclude_archived(database, query.entity_type, condition)
    if query.latest_key is not None:
        latest = latest_rows(database, matching_rows(rows, condition), query.latest_key)
        rows, condition = VisibleRows([row.id for row in latest], rows.read_row), MATCHES_ALL_ROWS
    offset = (query.page_number - 1) * query.page_size
    found = _page_rows(database, query, rows, condition, offset)
    project_row = row_projection(database, query.entity_type, query.fields)
    results: dict[str, Any] = {"entities": [project_row(row) for row in found[: query.page_size]]}
    if query.paging_counts is not None:
        has_next_page = len(found) > query.page_size
        results["paging_info"] = _paging_info(query, rows, condition, has_next_page=has_next_page)
    return results


def exclude_archived(
    database: SiteDatabase, entity_type: str, condition: FilterCondition
) -> FilterCondition:
    """Return the condition that also excludes records of archived projects."""
    schema_fields = database.schema.required_type("read", entity_type).fields
    archived_path = "archived" if entity_type == "Project" else "project.Project.archived"
    if entity_type != "Project" and "project" not in schema_fields:
        return condition
    read_archived = resolve_path(database, "read", entity_type, archived_path).read_value
    row_test = condition.row_test
    return replace(
        condition, row_test=lambda row: row_test(row) and not read_archived(row), is_exact=False
    )


def _page_rows(
    database: SiteDatabase,
    query: ReadQuery,
    rows: VisibleRows,
    condition: FilterCondition,
    offset: int,
) -> Sequence[SiteRow]:
    """Return the rows of a page and one more, if there is one."""
    end = offset + query.page_size + 1
    direction = _id_order_direction(query)
    if direction is None:
        return _sort_rows(database, query, list(matching_rows(rows, condition)))[offset:end]
    descending = direction == "desc"
    if not condition.is_exact:
        return list(islice(matching_rows(rows, condition, descending=descending), offset, end))
    return _rows_at_positions(rows, condition, offset, end, descending=descending)


def _rows_at_positions(
    rows: VisibleRows, condition: FilterCondition, offset: int, end: int, *, descending: bool
) -> list[SiteRow]:
    """Return rows by their positions, so that a late page costs no more than the first."""
    found: list[SiteRow] = []
    for span in index_ranges(rows.ids, condition.ranges, descending=descending):
        part = span[max(offset, 0) : max(end, 0)]
        found.extend(rows.read_row(rows.ids[index]) for index in part)
        offset, end = offset - len(span), end - len(span)
        if end <= 0:
            break
    return found


def _id_order_direction(query: ReadQuery) -> str | None:
    """Return the direction if the requested order is that of the ids, or None."""
    if not query.sort_orders:
        return "asc"
    first = query.sort_orders[0]
    # The timestamps of the log ascend with its ids.
    id_ordered_fields = ("id", "created_at") if query.entity_type == EVENT_LOG else ("id",)
    if first.get("field_name") not in id_ordered_fields:
        return None
    return first.get("direction", "asc")


def _sort_rows(database: SiteDatabase, query: ReadQuery, rows: list[SiteRow]) -> list[SiteRow]:
    for order in reversed(query.sort_orders):
        try:
            path = resolve_path(database, "read", query.entity_type, order.get("field_name", ""))
        except RefusedCallError:
            continue
        if path.field.data_type in UNSORTABLE_TYPES:
            continue
        _sort_by_key(rows, _sort_key(database.records, path), order.get("direction") == "desc")
    return rows


def _sort_by_key(rows: list[SiteRow], sort_key: RowReader, is_descending: bool) -> None:
    """Sort rows in place, those without a value last in both directions."""
    rows.sort(key=sort_key, reverse=is_descending)
    if is_descending:
        rows.sort(key=lambda row: sort_key(row)[0])


def _sort_key(records: Records, path: FieldPath) -> RowReader:
    def sort_key(row: SiteRow) -> tuple[bool, Any]:
        value = path.read_value(row)
        if path.field.is_link:
            value = _link_sort_name(records, value)
        if isinstance(value, (dict, list, tuple)):
            value = ruby_text(value)
        return value is None, value.casefold() if isinstance(value, str) else value

    return sort_key


def _link_sort_name(records: Records, value: Any) -> Any:
    ref = value[0] if value and isinstance(value, list) else value
    link = records.link(ref) if ref else None
    return (link["name"] or "") if link else None


def _paging_info(
    query: ReadQuery, rows: VisibleRows, condition: FilterCondition, *, has_next_page: bool
) -> dict[str, Any]:
    paging: dict[str, Any] = {
        "current_page": query.page_number,
        "entities_per_page": query.page_size,
    }
    if query.paging_counts is False:
        return {**paging, "has_next_page": has_next_page}
    entity_count = count_matching(rows, condition)
    page_count = max(1, -(-entity_count // query.page_size))
    return {**paging, "entity_count": entity_count, "page_count": page_count}


def count_matching(rows: VisibleRows, condition: FilterCondition) -> int:
    """Return the number of matching rows."""
    if condition.is_exact:
        return count_ids(rows.ids, condition.ranges)
    return sum(1 for _ in matching_rows(rows, condition))


def row_projection(
    database: SiteDatabase, entity_type: str, field_names: Sequence[str]
) -> Callable[[SiteRow], dict[str, Any]]:
    """Return the function that makes the dict of a row: type, id and the requested fields."""
    readers: list[tuple[str, RowReader]] = []
    for field_name in dict.fromkeys(field_names):
        reader = _shown_value_reader(database, entity_type, field_name)
        if reader is not None and field_name not in ("type", "id"):
            readers.append((field_name, reader))

    def project_row(row: SiteRow) -> dict[str, Any]:
        shown: dict[str, Any] = {"type": entity_type, "id": row.id}
        for field_name, read_value in readers:
            shown[field_name] = read_value(row)
        return shown

    return project_row


def _link_order(link: dict[str, Any]) -> tuple[str, int]:
    """Return the sort key of links: by name, whatever order they were written in."""
    return str(link["name"] or "").casefold(), link["id"]


def _shown_value_reader(
    database: SiteDatabase, entity_type: str, field_name: str
) -> RowReader | None:
    try:
        path = resolve_path(database, "read", entity_type, field_name, is_returned=True)
    except RefusedCallError:
        return None
    if path.has_many_values:
        return None
    read_value, link = path.read_value, database.records.link
    if not path.field.is_link:
        return read_value
    if path.field.name == "replies":
        return lambda row: [link(ref) for ref in read_value(row) or ()]
    if path.field.is_multi_link:
        return lambda row: sorted(filter(None, map(link, read_value(row) or ())), key=_link_order)
    return lambda row: link(read_value(row))
