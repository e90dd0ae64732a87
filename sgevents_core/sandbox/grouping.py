"""The groupings of `summarize`: exact values, ranges of numbers, spans of time, first letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sgevents_core.sandbox.paths import resolve
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.site_database import Row, SiteDatabase
from sgevents_core.sandbox.timestamps import calendar_span


class Group(NamedTuple):
    """A group that a row belongs to: its sort key, its name, its value."""

    key: tuple[bool, Any]
    name: str
    value: Any


_STEPS: Final = {
    "tens": 10,
    "hundreds": 100,
    "thousands": 1_000,
    "tensofthousands": 10_000,
    "hundredsofthousands": 100_000,
    "millions": 1_000_000,
}
UNGROUPED: Final = ("image", "password", "serializable", "summary", "url")
"""Data types whose values cannot be grouped."""

NUMBERS: Final = ("currency", "duration", "float", "number", "percent", "timecode")
"""Data types whose values are numbers."""

_NONE: Final = Group((False, ""), "", None)


def _plain(value: Any) -> Group:
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return Group((True, value), "[X]" if value else "[ ]", value)
    key = value.casefold() if isinstance(value, str) else value
    return Group((True, key), str(value), value)


def _number(step: int) -> Callable[[Any], Group]:
    def group(value: Any) -> Group:
        if value is None:
            return _NONE
        first = int(value // step) * step
        return Group((True, first), f"{first}-{first + step - 1}", f"{first}_{first + step - 1}")

    return group


def _letter(value: Any) -> Group:
    return _plain(str(value)[:1].upper() if value else None)


def _span(unit: str) -> Callable[[Any], Group]:
    def group(value: Any) -> Group:
        if value is None:
            return _NONE
        first, after = calendar_span(date.fromisoformat(value[:10]), unit, 0)
        last = after - timedelta(days=1)
        return Group((True, str(first)), _span_name(unit, first), f"{first}_{last}")

    return group


def _span_name(unit: str, first: date) -> str:
    if unit == "year":
        return str(first.year)
    return first.strftime("%B %Y") if unit == "month" else str(first)


def _quarter(value: Any) -> Group:
    if value is None:
        return _NONE
    day = date.fromisoformat(value[:10])
    first = day.replace(month=day.month - (day.month - 1) % 3, day=1)
    return Group((True, str(first)), f"Q{(day.month - 1) // 3 + 1} {day.year}", str(first))


def _five_days(value: Any) -> Group:
    if value is None:
        return _NONE
    day = date.fromisoformat(value[:10])
    first = day - timedelta(days=day.toordinal() % 5)
    return Group((True, str(first)), str(first), f"{first}_{first + timedelta(days=4)}")


def _clustered(database: SiteDatabase) -> Callable[[Any], Group]:
    def group(value: Any) -> Group:
        if value is None:
            return _NONE
        away = (date.fromisoformat(value[:10]) - database.clock().date()).days
        names = {-1: "Yesterday", 0: "Today", 1: "Tomorrow"}
        name = names.get(away, "Past" if away < 0 else "Future")
        return Group((True, max(-2, min(2, away))), name, name)

    return group


def _fits(data_type: str, kind: Any) -> bool:
    """Return whether values of a data type can be grouped this way."""
    if kind in ("exact", "firstletter"):
        return True
    return data_type in (NUMBERS if kind in _STEPS else ("date", "date_time"))


def _by_type(database: SiteDatabase, kind: str) -> Callable[[Any], Group] | None:
    if kind in _STEPS:
        return _number(_STEPS[kind])
    if kind == "clustered_date":
        return _clustered(database)
    kinds: dict[str, Callable[[Any], Group]] = {
        "exact": _plain,
        "firstletter": _letter,
        "day": _span("day"),
        "oneday": _span("day"),
        "week": _span("week"),
        "month": _span("month"),
        "year": _span("year"),
        "quarter": _quarter,
        "fivedays": _five_days,
    }
    return kinds.get(kind)


def group_of(database: SiteDatabase, entity_type: str, asked: Any) -> Callable[[Row], list[Group]]:
    """Return the function that yields a row's groups; a row with many links is in several.

    Args:
        database: Resolves the names of links.
        entity_type: The type of the rows.
        asked: `{"field": ..., "type": ..., "direction": ...}`.

    Raises:
        RefusedCallError: The field or the type of grouping does not exist.
    """
    if not isinstance(asked, dict) or not isinstance(asked.get("field"), str):
        raise RefusedCallError(f"API summarize() invalid/missing 'grouping': {shown(asked)}")
    path = resolve(database, "summarize", entity_type, asked["field"])
    if path.field.data_type in UNGROUPED:
        raise RefusedCallError(
            f"API summarize() Grouping is not allowed for field {entity_type}.{asked['field']}."
        )
    kind = asked.get("type", "exact")
    if path.field.links:
        one = _link_type if kind == "entitytype" else _link(database)
    else:
        plain = _by_type(database, kind) if _fits(path.field.data_type, kind) else None
        if plain is None:
            raise RefusedCallError(f"API summarize() invalid grouping 'type': {shown(kind)}")
        one = plain
    get = path.get
    if path.several or path.field.many:
        return lambda row: _different(one(value) for value in get(row) or [None])
    return lambda row: [one(get(row))]


def _different(groups: Iterable[Group]) -> list[Group]:
    return list({group.key: group for group in groups}.values())


def _link_type(ref: Any) -> Group:
    return _plain(ref[0] if ref else None)


def _link(database: SiteDatabase) -> Callable[[Any], Group]:
    def group(ref: Any) -> Group:
        link = database.records.link(ref)
        if link is None:
            return _NONE
        name = str(link["name"])
        return Group((True, (name.casefold(), ref)), name, {**link, "valid": "valid"})

    return group
