"""The values of each data type: those a write or a filter accepts, and their stored form.

As recorded on a site: some are coerced, some cut, and the others refused.
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
    failed_write,
    refused_call,
    refused_value,
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

    def refuse_class(self, expected_classes: str, value: Any) -> NoReturn:
        """Refuse a value of a class that the data type does not accept."""
        raise refused_call(
            self.method,
            f"{self} expected {expected_classes} data type(s) but got "
            f"{ruby_class(value)}: {ruby_text(value)}",
        )

    def refuse_value(self, value: Any) -> NoReturn:
        """Refuse text that is not a value of the data type."""
        raise refused_call(
            self.method,
            f"{self}: Invalid data for '{self.field.data_type}' data type. Value: {value}",
        )

    def field_refusal(self, reason: str) -> RefusedCallError:
        """Return the refusal of a value that the field refuses, though its data type accepts it."""
        return failed_write(self.method, str(self), reason)


Converter = Callable[[ValueContext, Any], Any]
"""Context and value on the wire -> the stored form."""


def stored_form(context: ValueContext, value: Any) -> Any:
    """Return a value that is not a link in the form that the site stores or searches for.

    Args:
        context: Where it was given.
        value: The value as on the wire.

    Raises:
        RefusedCallError: It is not of the field's data type, or not one of its values.
    """
    convert_value: Converter = _CONVERTERS.get(context.field.data_type, _convert_text)
    return convert_value(context, value)


def _text_or_none(context: ValueContext, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        context.refuse_class("[String, NilClass]", value)
    return value


def _convert_text(context: ValueContext, value: Any) -> str | None:
    text = _text_or_none(context, value) or ""
    return (text.strip() if context.is_write else text) or None


def _check_integer_range(context: ValueContext, value: int) -> int:
    """Refuse to write a number that does not fit a 32-bit column."""
    if context.is_write and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        if context.method == "create":
            raise context.field_refusal(
                "PG::NumericValueOutOfRange: ERROR:  integer out of range\n"
            )
        raise context.field_refusal("Invalid statement.")
    return value


def _number_converter(
    class_names: str,
    classes: tuple[type, ...],
    number_text: re.Pattern[str],
    convert_number: Callable[[ValueContext, Any], Any],
) -> Converter:
    """Return the converter of a data type whose values are numbers, or their text."""

    def convert_value(context: ValueContext, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, classes):
            context.refuse_class(class_names, value)
        if isinstance(value, str) and not number_text.fullmatch(value):
            context.refuse_value(value)
        return convert_number(context, value)

    return convert_value


def _stored_integer(context: ValueContext, value: Any) -> int:
    return _check_integer_range(context, int(value))


def _stored_duration(context: ValueContext, value: Any) -> int:
    return _check_integer_range(context, int(float(value)))


def _stored_float(_context: ValueContext, value: Any) -> float:
    return round(float(value), 6)


def _convert_checkbox(context: ValueContext, value: Any) -> bool:
    if not isinstance(value, (str, bool)):
        context.refuse_class("[String, FalseClass, TrueClass]", value)
    if value not in (True, False, "true", "false"):
        context.refuse_value(value)
    return value in (True, "true")


def _convert_date(context: ValueContext, value: Any) -> str | None:
    date_text = _convert_text(context, value)
    if date_text is not None and not is_date(date_text):
        raise refused_call(context.method, f"{context}: Invalid date format: {value}. {_DATE_HINT}")
    return date_text


def _convert_date_time(context: ValueContext, value: Any) -> str | None:
    text = _text_or_none(context, value)
    if text is None:
        return None
    timestamp = read_timestamp(text)
    if timestamp is None:
        raise refused_call(
            context.method, f"{context}: Invalid date time format: {value}. {_DATE_TIME_HINT}"
        )
    return timestamp


def _convert_list_value(context: ValueContext, value: Any) -> str | None:
    text = _text_or_none(context, value)
    if not text:
        return None
    valid_values, choice_names = context.field.valid_values, _CHOICE_NAMES[context.field.data_type]
    if context.is_write and valid_values and text not in valid_values:
        one, several = choice_names
        legal = ", ".join(f"'{valid_value}'" for valid_value in valid_values)
        raise context.field_refusal(f"'{text}' is not a valid {one}. Valid {several}: {legal}.")
    return text


def _convert_color(context: ValueContext, value: Any) -> str | None:
    text = _text_or_none(context, value)
    of_task = context.entity_type == "Task"
    if text is None and of_task and context.is_write:
        raise context.field_refusal("Value cannot be nil for Task.color.")
    if text is None or (of_task and not context.is_write):
        return text
    try:
        return stored_color(text, of_task=of_task)
    except ValueError as invalid_color:
        if context.is_write:
            raise context.field_refusal(str(invalid_color)) from None
        raise refused_call(
            context.method,
            f'invalid format for color value: "{text}" Correct format is '
            "'127,127,127' with values from 0 to 255 inclusive.",
        ) from None


def _convert_uuid(context: ValueContext, value: Any) -> str | None:
    if not isinstance(value, str):
        context.refuse_class("[String]", value)
    if value and not _UUID_TEXT.fullmatch(value):
        raise refused_call(
            context.method,
            f"CRUD ERROR #1: Read failed for entity type [{context.entity_type}]: invalid input "
            f"syntax for type uuid: {ruby_text(value)}",
            CRUD_ERROR,
        )
    return value.lower() or None


def _convert_image(context: ValueContext, value: Any) -> None:
    if value is None:
        return
    if not context.is_write:
        raise refused_value(
            context.method, "'is' 'relation' expects a nil value for 'image' data type", [value]
        )
    if not isinstance(value, dict):
        context.refuse_class(HASH_CLASSES, value)
    raise RefusedCallError(
        f"API {context.method}(): Write access of the 'image' data type ({context}) not yet "
        "supported in API"
    )


def _convert_serializable(context: ValueContext, value: Any) -> Any:
    if value is not None and not isinstance(value, (dict, list, str)):
        context.refuse_class("[Hash, Array, NilClass]", value)
    return value


def _convert_footage(context: ValueContext, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
        context.refuse_class("[Integer, NilClass, String, Float, BigDecimal]", value)
    return value


def _convert_tag_list(context: ValueContext, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        context.refuse_class("[Array]", value)
    return tuple(value)


_CHOICE_NAMES: Final = {
    "list": ("list value", "list values"),
    "status_list": ("status", "statuses"),
    "entity_type": ("entity type", "entity types"),
}
_INTEGER: Final = _number_converter("[Integer, NilClass]", (int,), _INTEGER_TEXT, _stored_integer)
_FLOAT: Final = _number_converter(
    "[String, BigDecimal, Float, NilClass]", (str, float), _DECIMAL_TEXT, _stored_float
)
_CONVERTERS: Final[dict[str, Converter]] = {
    "checkbox": _convert_checkbox,
    "color": _convert_color,
    "currency": _FLOAT,
    "date": _convert_date,
    "date_time": _convert_date_time,
    "duration": _number_converter(
        "[String, Integer, NilClass, Float]", (str, int, float), _DECIMAL_TEXT, _stored_duration
    ),
    "entity_type": _convert_list_value,
    "float": _FLOAT,
    "footage": _convert_footage,
    "image": _convert_image,
    "jsonb": _convert_serializable,
    "list": _convert_list_value,
    "number": _number_converter(
        "[String, Integer, NilClass]", (str, int), _INTEGER_TEXT, _stored_integer
    ),
    "percent": _INTEGER,
    "serializable": _convert_serializable,
    "status_list": _convert_list_value,
    "tag_list": _convert_tag_list,
    "timecode": _INTEGER,
    "uuid": _convert_uuid,
}
"""Data type -> the function that converts a value to its stored form; others are text."""

DATA_TYPES: Final = (
    *("addressing", "calculated", "entity", "multi_entity", "password", "pivot_column"),
    *("summary", "text", "url", *_CONVERTERS),
)
"""All data types."""
