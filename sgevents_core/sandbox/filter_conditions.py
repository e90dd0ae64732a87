"""The filters of a query, compiled: a test for each row, and the ids that can match at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from sgevents_core.sandbox.field_paths import FieldPath, resolve_path
from sgevents_core.sandbox.filter_relations import POSITIVE_RELATIONS, FilterRelation
from sgevents_core.sandbox.id_ranges import (
    ALL_IDS,
    HIGHEST_ID,
    LOWEST_ID,
    IdRanges,
    complement_ranges,
    index_ranges,
    intersect_ranges,
    merge_ranges,
    union_ranges,
)
from sgevents_core.sandbox.records import EntityRef
from sgevents_core.sandbox.refused_calls import refused_value
from sgevents_core.sandbox.site_database import EVENT_LOG, SiteDatabase, SiteRow, VisibleRows
from sgevents_core.sandbox.timestamps import read_timestamp

_BACKWARD_PREFIX: Final = "$FROM$"


@dataclass(frozen=True, slots=True)
class FilterCondition:
    """A compiled filter.

    Args:
        row_test: Returns whether a row matches.
        ranges: Ids outside of these cannot match.
        is_exact: Whether all ids within match, so that no row needs to be read.
    """

    row_test: Callable[[SiteRow], bool]
    ranges: IdRanges = ALL_IDS
    is_exact: bool = False


MATCHES_ALL_ROWS: Final = FilterCondition(lambda _row: True, ALL_IDS, is_exact=True)
"""The condition that every row meets."""


def matching_rows(
    rows: VisibleRows, condition: FilterCondition, *, descending: bool = False
) -> Iterator[SiteRow]:
    """Return the matching rows in id order."""
    ids, read_row, row_test = rows.ids, rows.read_row, condition.row_test
    for index_range in index_ranges(ids, condition.ranges, descending=descending):
        for index in index_range:
            row = read_row(ids[index])
            if condition.is_exact or row_test(row):
                yield row


class FilterCompiler:
    """The compiler of the filters of one call.

    Args:
        database: The database that is queried.
        method: The API method of the call, for messages.
        script_name: The script that makes the call; rows may be hidden from it.
    """

    def __init__(self, database: SiteDatabase, method: str, script_name: str | None = None) -> None:
        self.database = database
        self.method = method
        self.script_name = script_name

    def compile_group(self, entity_type: str, filter_group: dict[str, Any]) -> FilterCondition:
        """Return the condition of a group, `{"logical_operator": ..., "conditions": [...]}`.

        Raises:
            RefusedCallError: It names something that does not exist or is not valid.
        """
        group = filter_group if isinstance(filter_group, dict) else {}
        operator, parts = group.get("logical_operator", "and"), group.get("conditions")
        if operator not in ("and", "or") or not isinstance(parts, list):
            raise refused_value(self.method, "invalid/missing filters", filter_group)
        if not parts:
            return MATCHES_ALL_ROWS
        compiled = (self.compile_filter(entity_type, part) for part in parts)
        return reduce(_conjunction if operator == "and" else _disjunction, compiled)

    def compile_filter(self, entity_type: str, part: Any) -> FilterCondition:
        """Return the condition of one part of a group: a nested group, or a relation."""
        if isinstance(part, dict) and "logical_operator" in part:
            return self.compile_group(entity_type, part)
        known = part if isinstance(part, dict) else {}
        path_text, relation = known.get("path"), known.get("relation")
        if not isinstance(path_text, str) or not isinstance(relation, str):
            raise refused_value(self.method, "invalid/missing condition", part)
        values = part.get("values", [])
        values = values if isinstance(values, list) else [values]
        return self._compile_relation(entity_type, path_text, relation, values)

    def _compile_relation(
        self, entity_type: str, path_text: str, relation: str, values: list[Any]
    ) -> FilterCondition:
        if path_text.startswith(_BACKWARD_PREFIX):
            return self._compile_backward_path(entity_type, path_text, relation, values)
        field_path = resolve_path(self.database, self.method, entity_type, path_text)
        now = self.database.clock()
        filter_relation = FilterRelation(
            self.database.records, self.method, field_path.entity_type, field_path.field, now
        )
        filter_relation.check_relation(relation)
        positive_relation = POSITIVE_RELATIONS.get(relation, relation)
        value_test = filter_relation.compile_test(positive_relation, values)
        condition = FilterCondition(
            _row_test(field_path, value_test),
            *self._possible_ids(entity_type, path_text, positive_relation, values),
        )
        return condition if positive_relation == relation else _negation(condition)

    def _possible_ids(
        self, entity_type: str, path_text: str, relation: str, values: list[Any]
    ) -> tuple[IdRanges, bool]:
        ranges = None
        if path_text == "id":
            ranges = _ids_in_relation(relation, values)
        elif path_text == "created_at" and entity_type == EVENT_LOG:
            ranges = self._ids_in_time_range(relation, values)
        return (ALL_IDS, False) if ranges is None else (ranges, True)

    def _ids_in_time_range(self, relation: str, values: list[Any]) -> IdRanges | None:
        """Return the ids of a span of time: timestamps of the log ascend with its ids."""
        if None in values or relation not in ("less_than", "greater_than", "between"):
            return None
        log = self.database.log
        ids = log.visible_id_list(self.script_name)
        timestamps = sorted(read_timestamp(time_value) or "" for time_value in values)
        first_index, end_index = 0, len(ids)
        if relation != "less_than":
            first_index = log.first_index_at(timestamps[0], ids, after=relation == "greater_than")
        if relation != "greater_than":
            end_index = log.first_index_at(timestamps[-1], ids, after=relation == "between")
        return ((ids[first_index], ids[end_index - 1]),) if first_index < end_index else ()

    def _compile_backward_path(
        self, entity_type: str, path_text: str, relation: str, values: list[Any]
    ) -> FilterCondition:
        """Return the condition that some record linking to the row matches."""
        linking_type, _, rest = path_text[len(_BACKWARD_PREFIX) :].partition(".")
        link_field_name, _, rest = rest.partition(".")
        link_field = self.database.schema.required_field(self.method, linking_type, link_field_name)
        if not link_field.is_link or not rest:
            self.database.schema.required_field(self.method, entity_type, path_text)
        condition = self._compile_relation(linking_type, rest, relation, values)
        refs = self._refs_linked_by(linking_type, link_field_name, condition)
        ids = merge_ranges((ref[1], ref[1]) for ref in refs if ref[0] == entity_type)
        return FilterCondition(lambda row: (entity_type, row.id) in refs, ids, is_exact=True)

    def _refs_linked_by(
        self, linking_type: str, link_field_name: str, condition: FilterCondition
    ) -> set[EntityRef]:
        rows = self.database.visible_rows(linking_type, script_name=self.script_name)
        refs: set[EntityRef] = set()
        for row in matching_rows(rows, condition):
            # As stored, not as shown: this filter is used to find links to retired records.
            value = _stored_value(row, link_field_name)
            refs.update(value if _is_link_list(value) else [value] if value else ())
        return refs


def _is_link_list(stored_value: Any) -> bool:
    """Return whether a value is many links rather than one, which is a tuple too."""
    return isinstance(stored_value, tuple) and (
        not stored_value or isinstance(stored_value[0], tuple)
    )


def _stored_value(row: Any, field_name: str) -> Any:
    return row.values.get(field_name) if hasattr(row, "values") else getattr(row, field_name)


def _row_test(
    field_path: FieldPath, value_test: Callable[[Any], bool]
) -> Callable[[SiteRow], bool]:
    read_value = field_path.read_value
    if field_path.has_many_values:
        return lambda row: any(value_test(field_value) for field_value in read_value(row))
    return lambda row: value_test(read_value(row))


def _negation(condition: FilterCondition) -> FilterCondition:
    row_test = condition.row_test
    ranges = complement_ranges(condition.ranges) if condition.is_exact else ALL_IDS
    return FilterCondition(lambda row: not row_test(row), ranges, condition.is_exact)


def _conjunction(first: FilterCondition, second: FilterCondition) -> FilterCondition:
    first_test, second_test = first.row_test, second.row_test
    ranges, is_exact = intersect_ranges(first.ranges, second.ranges), _are_exact(first, second)
    return FilterCondition(lambda row: first_test(row) and second_test(row), ranges, is_exact)


def _disjunction(first: FilterCondition, second: FilterCondition) -> FilterCondition:
    first_test, second_test = first.row_test, second.row_test
    ranges, is_exact = union_ranges(first.ranges, second.ranges), _are_exact(first, second)
    return FilterCondition(lambda row: first_test(row) or second_test(row), ranges, is_exact)


def _are_exact(first: FilterCondition, second: FilterCondition) -> bool:
    return first.is_exact and second.is_exact


def _ids_in_relation(relation: str, values: list[Any]) -> IdRanges | None:
    if not all(type(value) is int for value in values):
        return None
    if relation in ("is", "in"):
        return merge_ranges((value, value) for value in values)
    if relation == "greater_than":
        return merge_ranges([(values[0] + 1, HIGHEST_ID)])
    if relation == "less_than":
        return merge_ranges([(LOWEST_ID, values[0] - 1)])
    return merge_ranges([(min(values), max(values))]) if relation == "between" else None
