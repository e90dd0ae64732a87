"""The values of each data type: what a write and a filter accept, and what is stored.

Recorded on a site: what is coerced, what is cut, and how the rest is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sgevents_core.sandbox.colors import stored_color
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.refused_calls import (
    CRUD_ERROR,
    RefusedCallError,
    refused_call,
    ruby_class,
    ruby_text,
)
from sgevents_core.sandbox.timestamps import is_date, read_timestamp

HASH_CLASSES: Final = (
    "[Hash, ActiveSupport::HashWithIndifferentAccess, ActionDispatch::Http::Parameters, "
    "ActionDispatch::Http::ParamsHashWithIndifferentAccess, NilClass]"
)
WRITE_METHODS: Final = ("create", "update")
INTEGER_LIMIT: Final = 2**31

_INTEGER_TEXT: Final = re.compile(r"\s*[+-]?\d+\s*")
_DECIMAL_TEXT: Final = re.compile(r"\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*")
_UUID_TEXT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE_HINT: Final = "Correct format is: 2011-01-21"
_DATE_TIME_HINT: Final = (
    "Correct format is 2011-01-21T13:26:09Z (UTC), 2011-01-21T13:26:09-07:00 (UTC Offset) or any "
    "ISO8601 compatible string."
)


@dataclass(frozen=True, slots=True)
class ValueContext:
    """Where a value was given: the method of the call, and the field."""

    method: str
    entity_type: str
    field: Field

    def __str__(self) -> str:
        return f"{self.entity_type}.{self.field.name}"

    @property
    def is_write(self) -> bool:
        """Whether the value is to be stored, rather than searched for."""
        return self.method in WRITE_METHODS

    def refuse_class(self, expected_classes: str, given_value: Any) -> NoReturn:
        """Refuse a value of a class that the data type does not accept."""
        raise refused_call(
            self.method,
            f"{self} expected {expected_classes} data type(s) but got "
            f"{ruby_class(given_value)}: {ruby_text(given_value)}",
        )

    def refuse_value(self, given_value: Any) -> NoReturn:
        """Refuse text that is not a value of the data type."""
        raise refused_call(
            self.method,
            f"{self}: Invalid data for '{self.field.data_type}' data type. Value: {given_value}",
        )

    def field_refusal(self, reason: str) -> RefusedCallError:
        """Return the refusal of a value that the field refuses, though its data type accepts it."""
        failure_text = f"{self.method.title()} failed for [{self}]: {reason}"
        return refused_call(self.method, f"CRUD ERROR #5: {failure_text}", CRUD_ERROR)


def stored_form(context: ValueContext, given_value: Any) -> Any:
    """Return a value that is not a link in the form that the site stores or searches for.

    Args:
        context: Where it was given.
        given_value: The value as on the wire.

    Raises:
        RefusedCallError: It is not of the field's data type, or not one of its values.
    """
    convert_value = _CONVERTERS.get(context.field.data_type)
    return (
        _convert_text(context, given_value)
        if convert_value is None
        else convert_value(context, given_value)
    )


def _convert_text(context: ValueContext, given_value: Any) -> str | None:
    if given_value is None:
        return None
    if not isinstance(given_value, str):
        context.refuse_class("[String, NilClass]", given_value)
    return (given_value.strip() if context.is_write else given_value) or None


def _check_integer_range(context: ValueContext, given_value: int) -> int:
    """Refuse, in a write, what does not fit a column of 32 bits."""
    if context.is_write and not -INTEGER_LIMIT <= given_value < INTEGER_LIMIT:
        range_error = "PG::NumericValueOutOfRange: ERROR:  integer out of range\n"
        raise context.field_refusal(
            range_error if context.method == "create" else "Invalid statement."
        )
    return given_value


def _convert_number(context: ValueContext, given_value: Any) -> int | None:
    if given_value is None:
        return None
    if isinstance(given_value, bool) or not isinstance(given_value, (str, int)):
        context.refuse_class("[String, Integer, NilClass]", given_value)
    if isinstance(given_value, str) and not _INTEGER_TEXT.fullmatch(given_value):
        context.refuse_value(given_value)
    return _check_integer_range(context, int(given_value))


def _convert_integer(context: ValueContext, given_value: Any) -> int | None:
    if given_value is None:
        return None
    if isinstance(given_value, bool) or not isinstance(given_value, int):
        context.refuse_class("[Integer, NilClass]", given_value)
    return _check_integer_range(context, given_value)


def _convert_duration(context: ValueContext, given_value: Any) -> int | None:
    if given_value is None:
        return None
    if isinstance(given_value, bool) or not isinstance(given_value, (str, int, float)):
        context.refuse_class("[String, Integer, NilClass, Float]", given_value)
    if isinstance(given_value, str) and not _DECIMAL_TEXT.fullmatch(given_value):
        context.refuse_value(given_value)
    return _check_integer_range(context, int(float(given_value)))


def _convert_float(context: ValueContext, given_value: Any) -> float | None:
    if given_value is None:
        return None
    if not isinstance(given_value, (str, float)):
        context.refuse_class("[String, BigDecimal, Float, NilClass]", given_value)
    if isinstance(given_value, str) and not _DECIMAL_TEXT.fullmatch(given_value):
        context.refuse_value(given_value)
    return round(float(given_value), 6)


def _convert_checkbox(context: ValueContext, given_value: Any) -> bool:
    if not isinstance(given_value, (str, bool)):
        context.refuse_class("[String, FalseClass, TrueClass]", given_value)
    if given_value not in (True, False, "true", "false"):
        context.refuse_value(given_value)
    return given_value in (True, "true")


def _convert_date(context: ValueContext, given_value: Any) -> str | None:
    date_text = _convert_text(context, given_value)
    if date_text is not None and not is_date(date_text):
        raise refused_call(
            context.method, f"{context}: Invalid date format: {given_value}. {_DATE_HINT}"
        )
    return date_text


def _convert_date_time(context: ValueContext, given_value: Any) -> str | None:
    if given_value is None:
        return None
    if not isinstance(given_value, str):
        context.refuse_class("[String, NilClass]", given_value)
    timestamp = read_timestamp(given_value)
    if timestamp is None:
        raise refused_call(
            context.method,
            f"{context}: Invalid date time format: {given_value}. {_DATE_TIME_HINT}",
        )
    return timestamp


def _convert_list_value(context: ValueContext, given_value: Any) -> str | None:
    if given_value is not None and not isinstance(given_value, str):
        context.refuse_class("[String, NilClass]", given_value)
    if not given_value:
        return None
    valid_values, choice_names = context.field.valid_values, _CHOICE_NAMES[context.field.data_type]
    if context.is_write and valid_values and given_value not in valid_values:
        one, several = choice_names
        legal = ", ".join(f"'{valid_value}'" for valid_value in valid_values)
        raise context.field_refusal(
            f"'{given_value}' is not a valid {one}. Valid {several}: {legal}."
        )
    return given_value


def _convert_color(context: ValueContext, given_value: Any) -> str | None:
    if given_value is not None and not isinstance(given_value, str):
        context.refuse_class("[String, NilClass]", given_value)
    of_task = context.entity_type == "Task"
    if given_value is None or (of_task and not context.is_write):
        if given_value is None and of_task and context.is_write:
            raise context.field_refusal("Value cannot be nil for Task.color.")
        return given_value
    try:
        return stored_color(given_value, of_task=of_task)
    except ValueError as invalid_color:
        if context.is_write:
            raise context.field_refusal(str(invalid_color)) from None
        raise refused_call(
            context.method,
            f'invalid format for color value: "{given_value}" Correct format is '
            "'127,127,127' with values from 0 to 255 inclusive.",
        ) from None


def _convert_uuid(context: ValueContext, given_value: Any) -> str | None:
    if not isinstance(given_value, str):
        context.refuse_class("[String]", given_value)
    if given_value and not _UUID_TEXT.fullmatch(given_value):
        raise refused_call(
            context.method,
            f"CRUD ERROR #1: Read failed for entity type [{context.entity_type}]: invalid input "
            f"syntax for type uuid: {ruby_text(given_value)}",
            CRUD_ERROR,
        )
    return given_value.lower() or None


def _convert_image(context: ValueContext, given_value: Any) -> None:
    if given_value is None:
        return
    if not context.is_write:
        raise refused_call(
            context.method,
            f"'is' 'relation' expects a nil value for 'image' data type: "
            f"{ruby_text([given_value])}",
        )
    if not isinstance(given_value, dict):
        context.refuse_class(HASH_CLASSES, given_value)
    raise RefusedCallError(
        f"API {context.method}(): Write access of the 'image' data type ({context}) not yet "
        "supported in API"
    )


def _convert_serializable(context: ValueContext, given_value: Any) -> Any:
    if given_value is not None and not isinstance(given_value, (dict, list, str)):
        context.refuse_class("[Hash, Array, NilClass]", given_value)
    return given_value


def _convert_footage(context: ValueContext, given_value: Any) -> Any:
    if isinstance(given_value, bool) or not isinstance(given_value, (str, int, float, type(None))):
        context.refuse_class("[Integer, NilClass, String, Float, BigDecimal]", given_value)
    return given_value


def _convert_tag_list(context: ValueContext, given_value: Any) -> tuple[str, ...]:
    if not isinstance(given_value, list) or not all(isinstance(tag, str) for tag in given_value):
        context.refuse_class("[Array]", given_value)
    return tuple(given_value)


_CHOICE_NAMES: Final = {
    "list": ("list value", "list values"),
    "status_list": ("status", "statuses"),
    "entity_type": ("entity type", "entity types"),
}
_CONVERTERS: Final[dict[str, Callable[[ValueContext, Any], Any]]] = {
    "checkbox": _convert_checkbox,
    "color": _convert_color,
    "currency": _convert_float,
    "date": _convert_date,
    "date_time": _convert_date_time,
    "duration": _convert_duration,
    "entity_type": _convert_list_value,
    "float": _convert_float,
    "footage": _convert_footage,
    "image": _convert_image,
    "jsonb": _convert_serializable,
    "list": _convert_list_value,
    "number": _convert_number,
    "percent": _convert_integer,
    "serializable": _convert_serializable,
    "status_list": _convert_list_value,
    "tag_list": _convert_tag_list,
    "timecode": _convert_integer,
    "uuid": _convert_uuid,
}
"""Data type -> the function that converts a value to its stored form; others are text."""

DATA_TYPES: Final = (
    *("addressing", "calculated", "entity", "multi_entity", "password", "pivot_column"),
    *("summary", "text", "url", *_CONVERTERS),
)
"""All data types."""
