"""The groupings of `summarize`: exact values, ranges of numbers, spans of time, first letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.field_paths import resolve_path
from sgevents_core.sandbox.refused_calls import refused_call, refused_value
from sgevents_core.sandbox.site_database import SiteDatabase, SiteRow
from sgevents_core.sandbox.timestamps import calendar_span


class RowGroup(NamedTuple):
    """A group that a row belongs to: its sort key, its name, its value."""

    sort_key: tuple[bool, Any]
    group_name: str
    group_value: Any


MakeGroup = Callable[[Any], RowGroup]
"""Value of a field, never None -> the group of its row."""

_NUMBER_STEPS: Final = {
    "tens": 10,
    "hundreds": 100,
    "thousands": 1_000,
    "tensofthousands": 10_000,
    "hundredsofthousands": 100_000,
    "millions": 1_000_000,
}
UNGROUPABLE_TYPES: Final = ("image", "password", "serializable", "summary", "url")
"""Data types whose values cannot be grouped."""

NUMBER_TYPES: Final = ("currency", "duration", "float", "number", "percent", "timecode")
"""Data types whose values are numbers."""

_EMPTY_GROUP: Final = RowGroup((False, ""), "", None)


def _value_group(value: Any) -> RowGroup:
    if isinstance(value, bool):
        return RowGroup((True, value), "[X]" if value else "[ ]", value)
    sort_key = value.casefold() if isinstance(value, str) else value
    return RowGroup((True, sort_key), str(value), value)


def _number_grouping(step: int) -> MakeGroup:
    def make_group(value: Any) -> RowGroup:
        first = int(value // step) * step
        last = first + step - 1
        return RowGroup((True, first), f"{first}-{last}", f"{first}_{last}")

    return make_group


def _first_letter_group(value: Any) -> RowGroup:
    return _value_group(str(value)[:1].upper()) if value else _EMPTY_GROUP


def _calendar_grouping(calendar_unit: str) -> MakeGroup:
    def make_group(value: Any) -> RowGroup:
        first_day, day_after = calendar_span(_date_of(value), calendar_unit, 0)
        last_day = day_after - timedelta(days=1)
        group_name = _calendar_span_name(calendar_unit, first_day)
        return RowGroup((True, str(first_day)), group_name, f"{first_day}_{last_day}")

    return make_group


def _calendar_span_name(calendar_unit: str, first_day: date) -> str:
    if calendar_unit == "year":
        return str(first_day.year)
    return first_day.strftime("%B %Y") if calendar_unit == "month" else str(first_day)


def _date_of(value: str) -> date:
    """Return the day of a value of type date or date_time."""
    return date.fromisoformat(value[:10])


def _quarter_group(value: Any) -> RowGroup:
    day = _date_of(value)
    quarter = (day.month - 1) // 3
    first_day = str(day.replace(month=3 * quarter + 1, day=1))
    return RowGroup((True, first_day), f"Q{quarter + 1} {day.year}", first_day)


def _five_day_group(value: Any) -> RowGroup:
    day = _date_of(value)
    first_day = day - timedelta(days=day.toordinal() % 5)
    last_day = first_day + timedelta(days=4)
    return RowGroup((True, str(first_day)), str(first_day), f"{first_day}_{last_day}")


def _clustered_date_grouping(database: SiteDatabase) -> MakeGroup:
    def make_group(value: Any) -> RowGroup:
        days_away = (_date_of(value) - database.clock().date()).days
        day_names = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
        group_name = day_names.get(days_away, "Past" if days_away < 0 else "Future")
        return RowGroup((True, max(-2, min(2, days_away))), group_name, group_name)

    return make_group


def _accepts_grouping(data_type: str, grouping_type: Any) -> bool:
    """Return whether values of a data type can be grouped this way."""
    if grouping_type in ("exact", "firstletter"):
        return True
    return data_type in (NUMBER_TYPES if grouping_type in _NUMBER_STEPS else ("date", "date_time"))


def _value_grouping(database: SiteDatabase, grouping_type: str) -> MakeGroup | None:
    if grouping_type in _NUMBER_STEPS:
        return _number_grouping(_NUMBER_STEPS[grouping_type])
    if grouping_type == "clustered_date":
        return _clustered_date_grouping(database)
    groupings: dict[str, MakeGroup] = {
        "exact": _value_group,
        "firstletter": _first_letter_group,
        "day": _calendar_grouping("day"),
        "oneday": _calendar_grouping("day"),
        "week": _calendar_grouping("week"),
        "month": _calendar_grouping("month"),
        "year": _calendar_grouping("year"),
        "quarter": _quarter_group,
        "fivedays": _five_day_group,
    }
    return groupings.get(grouping_type)


def compile_grouping(
    database: SiteDatabase, entity_type: str, grouping: Any
) -> Callable[[SiteRow], list[RowGroup]]:
    """Return the function that yields a row's groups; a row with many links is in several.

    Args:
        database: Resolves the names of links.
        entity_type: The type of the rows.
        grouping: `{"field": ..., "type": ..., "direction": ...}`.

    Raises:
        RefusedCallError: The field or the type of grouping does not exist.
    """
    if not isinstance(grouping, dict) or not isinstance(grouping.get("field"), str):
        raise refused_value("summarize", "invalid/missing 'grouping'", grouping)
    field_path = resolve_path(database, "summarize", entity_type, grouping["field"])
    if field_path.field.data_type in UNGROUPABLE_TYPES:
        raise refused_call(
            "summarize", f"Grouping is not allowed for field {entity_type}.{grouping['field']}."
        )
    make_group = _make_group(database, field_path.field, grouping.get("type", "exact"))

    def group(value: Any) -> RowGroup:
        return _EMPTY_GROUP if value is None else make_group(value)

    read_value = field_path.read_value
    if field_path.has_many_values or field_path.field.is_multi_link:
        return lambda row: _distinct_groups(map(group, read_value(row) or [None]))
    return lambda row: [group(read_value(row))]


def _make_group(database: SiteDatabase, field: Field, grouping_type: Any) -> MakeGroup:
    if field.is_link:
        return _link_type_group if grouping_type == "entitytype" else _link_grouping(database)
    make_group = None
    if _accepts_grouping(field.data_type, grouping_type):
        make_group = _value_grouping(database, grouping_type)
    if make_group is None:
        raise refused_value("summarize", "invalid grouping 'type'", grouping_type)
    return make_group


def _distinct_groups(groups: Iterable[RowGroup]) -> list[RowGroup]:
    return list({row_group.sort_key: row_group for row_group in groups}.values())


def _link_type_group(ref: Any) -> RowGroup:
    return _value_group(ref[0])


def _link_grouping(database: SiteDatabase) -> MakeGroup:
    def make_group(ref: Any) -> RowGroup:
        link = database.records.link(ref)
        if link is None:
            return _EMPTY_GROUP
        shown_name = str(link["name"])
        sort_key = (shown_name.casefold(), ref)
        return RowGroup((True, sort_key), shown_name, {**link, "valid": "valid"})

    return make_group
