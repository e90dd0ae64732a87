"""Filters on the records that a test gives to a recorder: every relation that a site knows.

A recorder has no schema, so values are compared as they are: texts exactly by `is`, and without
regard to case by the relations that look into them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any, Final, TypeAlias

from sgevents_core.errors import NotAnsweredError
from sgevents_core.moments import moment_of
from sgevents_core.sandbox.filter_relations import POSITIVE_RELATIONS
from sgevents_core.sandbox.timestamps import calendar_span, shift_moment

ReadField: TypeAlias = Callable[[str], Any]
"""Returns the value of a record's field, also of a linked record: `entity.Shot.code`."""
_Test: TypeAlias = Callable[[Any, list[Any]], bool]


def meets_filters(read_field: ReadField, filters: Any, operator: str = "all") -> bool:
    """Return whether a record meets filters: conditions, and groups of them.

    Args:
        read_field: Returns the values of the record's fields.
        filters: A list of conditions `[field, relation, value, ...]` and of groups, or one group.
        operator: Whether `all` or `any` of them have to hold.

    Raises:
        NotAnsweredError: A relation, an operator or the form of a condition is not known.
    """
    if isinstance(filters, Mapping):
        filters = [filters]
    if operator not in {"all", "any", "and", "or"}:
        raise NotAnsweredError(asked=f"the filter operator {operator!r}")
    results = [_meets(read_field, condition) for condition in filters]
    return all(results) if operator in {"all", "and"} else any(results)


def _meets(read_field: ReadField, condition: Any) -> bool:
    if isinstance(condition, Mapping) and "filters" in condition:
        return meets_filters(
            read_field, condition["filters"], condition.get("filter_operator", "all")
        )
    if isinstance(condition, Mapping) and "conditions" in condition:
        return meets_filters(
            read_field, condition["conditions"], condition.get("logical_operator", "and")
        )
    field_name, relation, expected_values = _parts_of(condition)
    positive_relation = POSITIVE_RELATIONS.get(relation, relation)
    test = _TESTS.get(positive_relation)
    if test is None:
        raise NotAnsweredError(asked=f"the relation {relation!r} of {field_name!r}")
    try:
        is_met = test(read_field(field_name), expected_values)
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise NotAnsweredError(
            asked=f"{relation!r} of {field_name!r} with {expected_values!r} ({error})"
        ) from None
    return is_met is (positive_relation == relation)


def _parts_of(condition: Any) -> tuple[str, str, list[Any]]:
    if isinstance(condition, Mapping) and condition.keys() >= {"path", "relation", "values"}:
        return condition["path"], condition["relation"], list(condition["values"])
    if not isinstance(condition, list | tuple) or len(condition) < 3:
        raise NotAnsweredError(asked=f"the filter {condition!r}")
    field_name, relation, *expected_values = condition
    if len(expected_values) == 1 and isinstance(expected_values[0], list | tuple):
        expected_values = list(expected_values[0])
    return field_name, relation, expected_values


def is_same_value(value: Any, other_value: Any) -> bool:
    """Return whether two values are equal; links are if they lead to the same record."""
    if isinstance(value, Mapping) and isinstance(other_value, Mapping):
        return (value.get("type"), value.get("id")) == (
            other_value.get("type"),
            other_value.get("id"),
        )
    return bool(_comparable(value) == _comparable(other_value))


def _members(value: Any) -> list[Any]:
    """Return the links of a multi-entity field; of any other value, itself."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_among(value: Any, expected_values: list[Any]) -> bool:
    members = _members(value)
    if not members:
        return None in expected_values
    return any(is_same_value(one, expected) for one in members for expected in expected_values)


def _comparable(value: Any) -> Any:
    """Return times as moments and dates as texts, whatever form they were given in."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date):
        return value.isoformat()
    return value


def _in_order(value: Any, *bounds: Any) -> tuple[Any, ...]:
    """Return a value and its bounds in a form in which they compare."""
    compared = [_comparable(one) for one in (value, *bounds)]
    if any(isinstance(one, datetime) for one in compared):
        return tuple(moment_of(one) if isinstance(one, str) else one for one in compared)
    return tuple(compared)


def _is_less(value: Any, expected_values: list[Any]) -> bool:
    own_value, bound = _in_order(value, expected_values[0])
    return own_value is not None and bound is not None and bool(own_value < bound)


def _is_greater(value: Any, expected_values: list[Any]) -> bool:
    own_value, bound = _in_order(value, expected_values[0])
    return own_value is not None and bound is not None and bool(own_value > bound)


def _is_between(value: Any, expected_values: list[Any]) -> bool:
    own_value, lowest, highest = _in_order(value, expected_values[0], expected_values[1])
    return own_value is not None and bool(lowest <= own_value <= highest)


def _text_test(holds: Callable[[str, str], bool]) -> _Test:
    def test(value: Any, expected_values: list[Any]) -> bool:
        return value is not None and holds(
            str(value).casefold(), str(expected_values[0]).casefold()
        )

    return test


def _name_test(holds: Callable[[str, str], bool]) -> _Test:
    def test(value: Any, expected_values: list[Any]) -> bool:
        wanted_text = str(expected_values[0]).casefold()
        names = [str(link.get("name", "")) for link in _members(value) if link is not None]
        return any(holds(name.casefold(), wanted_text) for name in names)

    return test


def _has_type(value: Any, expected_values: list[Any]) -> bool:
    links = [link for link in _members(value) if link is not None]
    if expected_values[0] is None:
        return not links
    return any(link.get("type") == expected_values[0] for link in links)


def _period_test(sign: int) -> _Test:
    def test(value: Any, expected_values: list[Any]) -> bool:
        if value is None:
            return False
        now = datetime.now(timezone.utc)
        lowest, highest = sorted(
            (now, shift_moment(now, sign * expected_values[0], expected_values[1]))
        )
        if _is_day(value):
            return bool(lowest.date().isoformat() <= str(value)[:10] <= highest.date().isoformat())
        return lowest <= _moment_in(value) <= highest

    return test


def _calendar_test(unit: str) -> _Test:
    def test(value: Any, expected_values: list[Any]) -> bool:
        if value is None:
            return False
        today = datetime.now(timezone.utc).date()
        first_day, day_after = calendar_span(today, unit, expected_values[0])
        day = str(value)[:10] if _is_day(value) else _moment_in(value).date().isoformat()
        return first_day.isoformat() <= day < day_after.isoformat()

    return test


def _is_day(value: Any) -> bool:
    return (isinstance(value, date) and not isinstance(value, datetime)) or (
        isinstance(value, str) and len(value) == 10
    )


def _moment_in(value: Any) -> datetime:
    moment = moment_of(value) if isinstance(value, str) else _comparable(value)
    if not isinstance(moment, datetime):
        raise TypeError(f"{value!r} is no time")
    return moment


def _contains(text: str, wanted: str) -> bool:
    return wanted in text


_TESTS: Final[dict[str, _Test]] = {
    "is": _is_among,
    "in": _is_among,
    "less_than": _is_less,
    "greater_than": _is_greater,
    "between": _is_between,
    "contains": _text_test(_contains),
    "starts_with": _text_test(str.startswith),
    "ends_with": _text_test(str.endswith),
    "name_contains": _name_test(_contains),
    "name_is": _name_test(str.__eq__),
    "name_starts_with": _name_test(str.startswith),
    "name_ends_with": _name_test(str.endswith),
    "type_is": _has_type,
    "in_last": _period_test(-1),
    "in_next": _period_test(1),
    **{f"in_calendar_{unit}": _calendar_test(unit) for unit in ("day", "week", "month", "year")},
}


def field_reader(
    record: Mapping[str, Any], records: Mapping[tuple[str, int], Mapping[str, Any]]
) -> ReadField:
    """Return a function that reads the fields of a record, also of the records it links to.

    Args:
        record: The record.
        records: All records, by type and id.
    """

    def read_field(field_name: str) -> Any:
        if field_name in record or field_name.count(".") < 2:
            return record.get(field_name)
        link_name, entity_type, rest = field_name.split(".", 2)
        links = [link for link in _members(record.get(link_name)) if isinstance(link, Mapping)]
        values = [
            field_reader(records.get((link["type"], link["id"]), link), records)(rest)
            for link in links
            if link.get("type") == entity_type
        ]
        if isinstance(record.get(link_name), Sequence):
            return values
        return values[0] if values else None

    return read_field
