"""The API method `read_entities`: filters, order, pages and the fields asked for."""

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
    ruby_text,
)
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase, SiteRow, VisibleRows

RowReader = Callable[[SiteRow], Any]

UNSORTABLE_TYPES: Final = frozenset({"calculated", "password", "serializable", "summary", "url"})
"""Data types by which a site does not sort, though it accepts the request."""


@dataclass(frozen=True, slots=True)
class ReadQuery:
    """A parsed call of `read_entities`.

    Args:
        entity_type: The entity type asked for.
        filters: The group of conditions as the client sends it.
        fields: The fields wanted besides type and id; unknown ones are left out, as on a site.
        sort_orders: `{"field_name": ..., "direction": "asc" | "desc"}`; unknown ones are ignored.
        retired: Whether retired records are wanted instead of live ones.
        includes_archived: Whether records of archived projects count.
        page_size: The number of rows per page.
        page_number: The page wanted; the first is 1.
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
    """Return the query of a `read_entities` call.

    Args:
        parameters: The client's parameters.
        largest_page: The largest page, in rows.

    Raises:
        RefusedCallError: The paging or a filter preset is not valid.
    """
    paging = parameters.get("paging") or {}
    if not isinstance(paging, dict):
        raise refused_call("read", f"invalid/missing hash 'paging': {ruby_text(paging)}")
    page_size, page_number = (
        paging.get("entities_per_page", largest_page),
        paging.get("current_page", 1),
    )
    for paging_key, paging_value in (
        ("entities_per_page", page_size),
        ("current_page", page_number),
    ):
        if not isinstance(paging_value, int) or paging_value < 1:
            raise refused_call(
                "read", f"invalid/missing integer 'paging' '{paging_key}':\n{ruby_text(paging)}"
            )
    if page_size > largest_page:
        raise refused_call(
            "read", f"'paging' 'entities_per_page' may be {largest_page} at most: {page_size}"
        )
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
    database: SiteDatabase,
    read_query: ReadQuery,
    visible_rows: VisibleRows,
    script_name: str | None,
) -> dict[str, Any]:
    """Return the results of a query: a page of entities and the paging information asked for.

    Args:
        database: The database.
        read_query: The query.
        visible_rows: The rows of its type that the caller can see.
        script_name: The caller's script, for conditions that look at other rows.

    Raises:
        RefusedCallError: A condition names something that does not exist or is not valid.
    """
    compiler = FilterCompiler(database, "read", script_name)
    condition = compiler.compile_group(read_query.entity_type, read_query.filters)
    if not read_query.includes_archived:
        condition = exclude_archived(database, read_query.entity_type, condition)
    if read_query.latest_key is not None:
        latest_records = latest_rows(
            database, matching_rows(visible_rows, condition), read_query.latest_key
        )
        visible_rows, condition = (
            VisibleRows([row.id for row in latest_records], visible_rows.read_row),
            MATCHES_ALL_ROWS,
        )
    offset = (read_query.page_number - 1) * read_query.page_size
    page_rows = _page_rows(database, read_query, visible_rows, condition, offset)
    project_row = row_projection(database, read_query.entity_type, read_query.fields)
    read_results: dict[str, Any] = {
        "entities": [project_row(row) for row in page_rows[: read_query.page_size]]
    }
    if read_query.paging_counts is not None:
        read_results["paging_info"] = _paging_info(
            read_query, visible_rows, condition, has_next_page=len(page_rows) > read_query.page_size
        )
    return read_results


def exclude_archived(
    database: SiteDatabase, entity_type: str, condition: FilterCondition
) -> FilterCondition:
    """Return the condition that also excludes what belongs to an archived project."""
    schema_fields = database.schema.required_type("read", entity_type).fields
    archived_path = "archived" if entity_type == "Project" else "project.Project.archived"
    if entity_type != "Project" and "project" not in schema_fields:
        return condition
    read_archived = resolve_path(database, "read", entity_type, archived_path).read_value
    row_test = condition.row_test
    return replace(
        condition,
        row_test=lambda row: row_test(row) and not read_archived(row),
        is_exact=False,
    )


def _page_rows(
    database: SiteDatabase,
    read_query: ReadQuery,
    visible_rows: VisibleRows,
    condition: FilterCondition,
    offset: int,
) -> Sequence[SiteRow]:
    """Return the rows of a page and one more, if there is one."""
    end_offset = offset + read_query.page_size + 1
    direction = _id_order_direction(read_query)
    if direction is None:
        return _sort_rows(database, read_query, list(matching_rows(visible_rows, condition)))[
            offset:end_offset
        ]
    descending = direction == "desc"
    if not condition.is_exact:
        return list(
            islice(
                matching_rows(visible_rows, condition, descending=descending), offset, end_offset
            )
        )
    return _rows_at_positions(visible_rows, condition, offset, end_offset, descending=descending)


def _rows_at_positions(
    visible_rows: VisibleRows,
    condition: FilterCondition,
    offset: int,
    end_offset: int,
    *,
    descending: bool,
) -> list[SiteRow]:
    """Return rows by their positions, so that a late page costs no more than the first."""
    page_rows: list[SiteRow] = []
    for index_range in index_ranges(visible_rows.ids, condition.ranges, descending=descending):
        page_range = index_range[max(offset, 0) : max(end_offset, 0)]
        page_rows.extend(
            visible_rows.read_row(visible_rows.ids[row_index]) for row_index in page_range
        )
        offset, end_offset = offset - len(index_range), end_offset - len(index_range)
        if end_offset <= 0:
            break
    return page_rows


def _id_order_direction(read_query: ReadQuery) -> str | None:
    """Return the direction if the order asked for is that of the ids."""
    if not read_query.sort_orders:
        return "asc"
    first_sort = read_query.sort_orders[0]
    # The timestamps of the log ascend with its ids.
    id_ordered_fields = ("id", "created_at") if read_query.entity_type == EVENT_LOG else ("id",)
    return (
        first_sort.get("direction", "asc")
        if first_sort.get("field_name") in id_ordered_fields
        else None
    )


def _sort_rows(
    database: SiteDatabase, read_query: ReadQuery, matching_records: list[SiteRow]
) -> list[SiteRow]:
    for sort_order in reversed(read_query.sort_orders):
        try:
            field_path = resolve_path(
                database, "read", read_query.entity_type, sort_order.get("field_name", "")
            )
        except RefusedCallError:
            continue
        if field_path.field.data_type in UNSORTABLE_TYPES:
            continue
        _sort_by_key(
            matching_records,
            _sort_key(database.records, field_path),
            sort_order.get("direction") == "desc",
        )
    return matching_records


def _sort_by_key(matching_records: list[SiteRow], sort_key: RowReader, is_descending: bool) -> None:
    """Sort rows in place, those without a value last in both directions."""
    matching_records.sort(key=sort_key, reverse=is_descending)
    if is_descending:
        matching_records.sort(key=lambda row: sort_key(row)[0])


def _sort_key(site_records: Records, field_path: FieldPath) -> RowReader:
    def sort_key(row: SiteRow) -> tuple[bool, Any]:
        field_value = field_path.read_value(row)
        if field_path.field.is_link:
            field_value = _link_sort_name(site_records, field_value)
        if isinstance(field_value, (dict, list, tuple)):
            field_value = ruby_text(field_value)
        return (
            field_value is None,
            field_value.casefold() if isinstance(field_value, str) else field_value,
        )

    return sort_key


def _link_sort_name(site_records: Records, field_value: Any) -> Any:
    ref = field_value[0] if field_value and isinstance(field_value, list) else field_value
    link = site_records.link(ref) if ref else None
    return (link["name"] or "") if link else None


def _paging_info(
    read_query: ReadQuery,
    visible_rows: VisibleRows,
    condition: FilterCondition,
    *,
    has_next_page: bool,
) -> dict[str, Any]:
    paging: dict[str, Any] = {
        "current_page": read_query.page_number,
        "entities_per_page": read_query.page_size,
    }
    if read_query.paging_counts is False:
        return {**paging, "has_next_page": has_next_page}
    entity_count = count_matching(visible_rows, condition)
    page_count = max(1, -(-entity_count // read_query.page_size))
    return {**paging, "entity_count": entity_count, "page_count": page_count}


def count_matching(visible_rows: VisibleRows, condition: FilterCondition) -> int:
    """Return the number of matching rows."""
    if condition.is_exact:
        return count_ids(visible_rows.ids, condition.ranges)
    return sum(1 for _ in matching_rows(visible_rows, condition))


def row_projection(
    database: SiteDatabase, entity_type: str, field_names: Sequence[str]
) -> Callable[[SiteRow], dict[str, Any]]:
    """Return the function that makes the dict of a row: type, id and the fields asked for."""
    value_readers: list[tuple[str, RowReader]] = []
    for field_name in dict.fromkeys(field_names):
        value_reader = _shown_value_reader(database, entity_type, field_name)
        if value_reader is not None and field_name not in ("type", "id"):
            value_readers.append((field_name, value_reader))

    def project_row(row: SiteRow) -> dict[str, Any]:
        projected_row: dict[str, Any] = {"type": entity_type, "id": row.id}
        for field_name, read_value in value_readers:
            projected_row[field_name] = read_value(row)
        return projected_row

    return project_row


def _link_order(link: dict[str, Any]) -> tuple[str, int]:
    """Return links sorted by name, whatever order they were written in; replies by age."""
    return str(link["name"] or "").casefold(), link["id"]


def _shown_value_reader(
    database: SiteDatabase, entity_type: str, field_name: str
) -> RowReader | None:
    try:
        field_path = resolve_path(database, "read", entity_type, field_name, is_returned=True)
    except RefusedCallError:
        return None
    if field_path.has_many_values:
        return None
    read_value, link = field_path.read_value, database.records.link
    if not field_path.field.is_link:
        return read_value
    if field_path.field.name == "replies":
        return lambda row: [link(ref) for ref in read_value(row) or ()]
    if field_path.field.is_multi_link:
        return lambda row: sorted(filter(None, map(link, read_value(row) or ())), key=_link_order)
    return lambda row: link(read_value(row))
