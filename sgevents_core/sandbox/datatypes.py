"""The values of each data type: what a write and a filter accept, and what is stored.

Recorded on a site: what is coerced, what is cut, and how the rest is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sgevents_core.sandbox.colors import color
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, class_of, shown
from sgevents_core.sandbox.timestamps import is_date, read_timestamp

HASH: Final = (
    "[Hash, ActiveSupport::HashWithIndifferentAccess, ActionDispatch::Http::Parameters, "
    "ActionDispatch::Http::ParamsHashWithIndifferentAccess, NilClass]"
)
WRITES: Final = ("create", "update")
LARGEST: Final = 2**31

_NUMBER: Final = re.compile(r"\s*[+-]?\d+\s*")
_DECIMAL: Final = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE_FORMAT: Final = "Correct format is: 2011-01-21"
_TIME_FORMAT: Final = (
    "Correct format is 2011-01-21T13:26:09Z (UTC), 2011-01-21T13:26:09-07:00 (UTC Offset) or any "
    "ISO8601 compatible string."
)


@dataclass(frozen=True, slots=True)
class ValuePlace:
    """Where a value was given: the method of the call, and the field."""

    method: str
    entity_type: str
    field: Field

    def __str__(self) -> str:
        return f"{self.entity_type}.{self.field.name}"

    @property
    def writes(self) -> bool:
        """Whether the value is to be stored, rather than searched for."""
        return self.method in WRITES

    def wrong_class(self, expected: str, value: Any) -> NoReturn:
        """Refuse a value of a class that the data type does not accept."""
        raise RefusedCallError(
            f"API {self.method}() {self} expected {expected} data type(s) but got "
            f"{class_of(value)}: {shown(value)}"
        )

    def invalid(self, value: Any) -> NoReturn:
        """Refuse text that is not a value of the data type."""
        raise RefusedCallError(
            f"API {self.method}() {self}: Invalid data for '{self.field.data_type}' data type. "
            f"Value: {value}"
        )

    def failed(self, reason: str) -> RefusedCallError:
        """Return the refusal of a value that the field refuses, though its data type accepts it."""
        what = f"{self.method.title()} failed for [{self}]: {reason}"
        return RefusedCallError(f"API {self.method}() CRUD ERROR #5: {what}", CRUD)


def known(place: ValuePlace, value: Any) -> Any:
    """Return a value that is not a link in the form that the site stores or searches for.

    Args:
        place: Where it was given.
        value: The value as on the wire.

    Raises:
        RefusedCallError: It is not of the field's data type, or not one of its values.
    """
    kind = _KINDS.get(place.field.data_type)
    return _text(place, value) if kind is None else kind(place, value)


def _text(place: ValuePlace, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        place.wrong_class("[String, NilClass]", value)
    return (value.strip() if place.writes else value) or None


def _bounded(place: ValuePlace, value: int) -> int:
    """Refuse, in a write, what does not fit a column of 32 bits."""
    if place.writes and not -LARGEST <= value < LARGEST:
        out_of_range = "PG::NumericValueOutOfRange: ERROR:  integer out of range\n"
        raise place.failed(out_of_range if place.method == "create" else "Invalid statement.")
    return value


def _number(place: ValuePlace, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        place.wrong_class("[String, Integer, NilClass]", value)
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        place.invalid(value)
    return _bounded(place, int(value))


def _integer(place: ValuePlace, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        place.wrong_class("[Integer, NilClass]", value)
    return _bounded(place, value)


def _duration(place: ValuePlace, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        place.wrong_class("[String, Integer, NilClass, Float]", value)
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        place.invalid(value)
    return _bounded(place, int(float(value)))


def _float(place: ValuePlace, value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (str, float)):
        place.wrong_class("[String, BigDecimal, Float, NilClass]", value)
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        place.invalid(value)
    return round(float(value), 6)


def _checkbox(place: ValuePlace, value: Any) -> bool:
    if not isinstance(value, (str, bool)):
        place.wrong_class("[String, FalseClass, TrueClass]", value)
    if value not in (True, False, "true", "false"):
        place.invalid(value)
    return value in (True, "true")


def _date(place: ValuePlace, value: Any) -> str | None:
    text = _text(place, value)
    if text is not None and not is_date(text):
        raise RefusedCallError(
            f"API {place.method}() {place}: Invalid date format: {value}. {_DATE_FORMAT}"
        )
    return text


def _date_time(place: ValuePlace, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        place.wrong_class("[String, NilClass]", value)
    read = read_timestamp(value)
    if read is None:
        raise RefusedCallError(
            f"API {place.method}() {place}: Invalid date time format: {value}. {_TIME_FORMAT}"
        )
    return read


def _list(place: ValuePlace, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        place.wrong_class("[String, NilClass]", value)
    if not value:
        return None
    values, kind = place.field.valid_values, _CHOICES[place.field.data_type]
    if place.writes and values and value not in values:
        legal = ", ".join(f"'{one}'" for one in values)
        raise place.failed(f"'{value}' is not a valid {kind[0]}. Valid {kind[1]}: {legal}.")
    return value


def _color(place: ValuePlace, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        place.wrong_class("[String, NilClass]", value)
    of_task = place.entity_type == "Task"
    if value is None or (of_task and not place.writes):
        if value is None and of_task and place.writes:
            raise place.failed("Value cannot be nil for Task.color.")
        return value
    try:
        return color(value, steps=of_task)
    except ValueError as wrong:
        if place.writes:
            raise place.failed(str(wrong)) from None
        raise RefusedCallError(
            f'API {place.method}() invalid format for color value: "{value}" Correct format is '
            "'127,127,127' with values from 0 to 255 inclusive."
        ) from None


def _uuid(place: ValuePlace, value: Any) -> str | None:
    if not isinstance(value, str):
        place.wrong_class("[String]", value)
    if value and not _UUID.fullmatch(value):
        raise RefusedCallError(
            f"API {place.method}() CRUD ERROR #1: Read failed for entity type "
            f"[{place.entity_type}]: invalid input syntax for type uuid: {shown(value)}",
            CRUD,
        )
    return value.lower() or None


def _image(place: ValuePlace, value: Any) -> None:
    if value is None:
        return
    if not place.writes:
        raise RefusedCallError(
            f"API {place.method}() 'is' 'relation' expects a nil value for 'image' data type: "
            f"{shown([value])}"
        )
    if not isinstance(value, dict):
        place.wrong_class(HASH, value)
    raise RefusedCallError(
        f"API {place.method}(): Write access of the 'image' data type ({place}) not yet "
        "supported in API"
    )


def _serializable(place: ValuePlace, value: Any) -> Any:
    if value is not None and not isinstance(value, (dict, list, str)):
        place.wrong_class("[Hash, Array, NilClass]", value)
    return value


def _footage(place: ValuePlace, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
        place.wrong_class("[Integer, NilClass, String, Float, BigDecimal]", value)
    return value


def _tag_list(place: ValuePlace, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        place.wrong_class("[Array]", value)
    return tuple(value)


_CHOICES: Final = {
    "list": ("list value", "list values"),
    "status_list": ("status", "statuses"),
    "entity_type": ("entity type", "entity types"),
}
_KINDS: Final[dict[str, Callable[[ValuePlace, Any], Any]]] = {
    "checkbox": _checkbox,
    "color": _color,
    "currency": _float,
    "date": _date,
    "date_time": _date_time,
    "duration": _duration,
    "entity_type": _list,
    "float": _float,
    "footage": _footage,
    "image": _image,
    "jsonb": _serializable,
    "list": _list,
    "number": _number,
    "percent": _integer,
    "serializable": _serializable,
    "status_list": _list,
    "tag_list": _tag_list,
    "timecode": _integer,
    "uuid": _uuid,
}
"""Data type -> the function that converts a value to its stored form; others are text."""

DATA_TYPES: Final = (
    *("addressing", "calculated", "entity", "multi_entity", "password", "pivot_column"),
    *("summary", "text", "url", *_KINDS),
)
"""All data types."""
