"""The relations of a filter: which of them a data type accepts, and what each one tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from sgevents_core.moments import api_timestamp
from sgevents_core.sandbox.data_types import HASH_CLASSES, ValueContext, stored_form
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.records import EntityRef, Records
from sgevents_core.sandbox.refused_calls import (
    CRUD_ERROR,
    RefusedCallError,
    refused_call,
    refused_value,
    ruby_text,
)
from sgevents_core.sandbox.timestamps import calendar_span, shift_moment

ValueTest = Callable[[Any], bool]
"""Stored value -> whether it matches."""

POSITIVE_RELATIONS: Final = {
    "is_not": "is",
    "not_in": "in",
    "not_contains": "contains",
    "not_between": "between",
    "not_in_last": "in_last",
    "not_in_next": "in_next",
    "type_is_not": "type_is",
    "name_not_contains": "name_contains",
}
"""Negated relation -> the relation that it negates."""

_EQUALITY_RELATIONS: Final = ("is", "is_not")
_CHOICE_RELATIONS: Final = (*_EQUALITY_RELATIONS, "in", "not_in")
_ORDER_RELATIONS: Final = (
    *_EQUALITY_RELATIONS,
    "greater_than",
    "less_than",
    "between",
    "in",
    "not_in",
)
_TIME_RELATIONS: Final = (
    *(*_EQUALITY_RELATIONS, "greater_than", "less_than"),
    *("in_last", "not_in_last", "in_next", "not_in_next"),
    *("in_calendar_week", "in_calendar_month", "in_calendar_day", "in_calendar_year"),
    *("between", "in", "not_in"),
)
_TEXT_RELATIONS: Final = (
    *("contains", "not_contains", *_EQUALITY_RELATIONS, "starts_with", "ends_with", "in", "not_in"),
)
_LINK_RELATIONS: Final = (
    *_EQUALITY_RELATIONS,
    *("name_contains", "name_not_contains", "name_is", "type_is", "type_is_not", "in", "not_in"),
)

RELATIONS_BY_TYPE: Final[dict[str, tuple[str, ...]]] = {
    "addressing": (
        *_LINK_RELATIONS,
        "contains",
        "not_contains",
        "name_starts_with",
        "name_ends_with",
    ),
    "checkbox": _EQUALITY_RELATIONS,
    "color": _CHOICE_RELATIONS,
    "currency": (*_ORDER_RELATIONS, "not_between"),
    "date": _TIME_RELATIONS,
    "date_time": _TIME_RELATIONS,
    "duration": _ORDER_RELATIONS,
    "entity": _LINK_RELATIONS,
    "entity_type": _CHOICE_RELATIONS,
    "float": _ORDER_RELATIONS,
    "footage": _ORDER_RELATIONS,
    "image": _EQUALITY_RELATIONS,
    "jsonb": (*_EQUALITY_RELATIONS, "contains", "not_contains"),
    "list": _CHOICE_RELATIONS,
    "multi_entity": _LINK_RELATIONS,
    "number": _ORDER_RELATIONS,
    "percent": _ORDER_RELATIONS,
    "status_list": _CHOICE_RELATIONS,
    "tag_list": (*_EQUALITY_RELATIONS, "name_contains", "name_not_contains"),
    "text": _TEXT_RELATIONS,
    "timecode": _ORDER_RELATIONS,
    "uuid": _CHOICE_RELATIONS,
}
"""Data type -> the relations it accepts. The others cannot be filtered on."""

_VALUE_COUNTS: Final = {"between": 2, "in_last": 2, "in_next": 2}


class FilterRelation:
    """One field in a filter; it compiles the relations on it to tests.

    Args:
        records: Resolves the names of links.
        method: The API method of the call, for messages.
        entity_type: The type that has the field.
        field: The field.
        now: The site's time, for relations such as `in_last`.
    """

    def __init__(
        self, records: Records, method: str, entity_type: str, field: Field, now: datetime
    ) -> None:
        self.records = records
        self.method = method
        self.entity_type = entity_type
        self.field = field
        self.current_time = now
        self._context = ValueContext(method, entity_type, field)

    def compile_test(self, relation: str, values: list[Any]) -> ValueTest:
        """Return the test of a relation that is not a negation.

        Raises:
            RefusedCallError: The number or the kind of the values is wrong.
        """
        self._check_value_count(relation, values)
        if self.field.data_type == "tag_list":
            return _tag_test(relation, str(values[0]).casefold())
        if relation.startswith("name_"):
            return self._link_name_test(relation, values[0])
        if relation == "type_is":
            return self._link_type_test(values[0])
        if self.field.is_link:
            return self._link_test(relation, values)
        if relation in ("in_last", "in_next") or relation.startswith("in_calendar_"):
            return self._period_test(relation, values)
        return self._scalar_test(relation, values)

    def check_relation(self, relation: str) -> None:
        """Raise RefusedCallError if the field's data type does not accept the relation."""
        accepted = RELATIONS_BY_TYPE.get(self.field.data_type)
        subject = f"{self.entity_type}.{self.field.name}'s '{self.field.data_type}' data type"
        if accepted is None:
            raise refused_call(self.method, f"{subject} cannot be used in a filter.")
        if relation not in accepted:
            raise refused_call(
                self.method,
                f"{subject} doesn't support '{relation}' 'relation'\n"
                f"Valid relations: {ruby_text(list(accepted))}",
            )

    def _check_value_count(self, relation: str, values: list[Any]) -> None:
        value_count = _VALUE_COUNTS.get(relation, 1)
        has_wrong_count = not values if relation == "in" else len(values) != value_count
        if has_wrong_count:
            size = "at least a 1-element" if relation == "in" else f"a {value_count}-element"
            raise self._refused_relation(relation, f"expects {size} array:\n{ruby_text(values)}")

    def _refused_relation(self, relation: str, reason: str) -> RefusedCallError:
        return refused_call(self.method, f"'{relation}' 'relation' {reason}")

    def _scalar_test(self, relation: str, values: list[Any]) -> ValueTest:
        if relation == "in" and self.field.data_type == "text" and None in values:
            raise refused_call(
                self.method,
                f"CRUD ERROR #1: Read failed for entity type [{self.entity_type}]",
                CRUD_ERROR,
            )
        stored_values = [stored_form(self._context, value) for value in values]
        if self.field.data_type == "jsonb" and relation == "contains":
            return lambda value: _contains_object(value, stored_values[0])
        if self.field.data_type == "text" and relation == "in":
            # No row holds empty text, so `in [""]` finds nothing, though `is ""` finds the unset.
            stored_values = [value for value in stored_values if value is not None]
        is_text = self.field.data_type in ("text", "list")
        return (_text_test if is_text else _ordered_test)(relation, stored_values)

    def _linked_ref(self, value: Any) -> EntityRef | None:
        if value is None:
            return None
        if not isinstance(value, dict) and self.field.is_multi_link:
            raise refused_value(self.method, "invalid/missing entity hash", value)
        if not isinstance(value, dict):
            self._context.refuse_class(HASH_CLASSES, value)
        return parse_entity_hash(self.method, value)

    def _link_test(self, relation: str, values: list[Any]) -> ValueTest:
        refs = {self._linked_ref(value) for value in values}
        if not self.field.is_multi_link:
            return lambda ref: ref in refs
        matches_empty = None in refs
        return lambda found_refs: (
            any(ref in refs for ref in found_refs) or (matches_empty and not found_refs)
        )

    def _any_link_test(self, link_test: Callable[[EntityRef], bool]) -> ValueTest:
        if self.field.is_multi_link:
            return lambda found_refs: any(link_test(ref) for ref in found_refs)
        return lambda ref: ref is not None and link_test(ref)

    def _link_type_test(self, wanted_type: Any) -> ValueTest:
        if wanted_type is None:
            return lambda found_refs: not found_refs
        return self._any_link_test(lambda ref: ref[0] == wanted_type)

    def _link_name_test(self, relation: str, wanted_text: Any) -> ValueTest:
        name_test = _text_test({"name_is": "is"}.get(relation, relation[5:]), [wanted_text])

        def has_matching_name(ref: EntityRef) -> bool:
            link = self.records.link(ref)
            return link is not None and name_test(link["name"])

        return self._any_link_test(has_matching_name)

    def _period_test(self, relation: str, values: list[Any]) -> ValueTest:
        try:
            start_text, end_text = self._period_bounds(relation, values)
        except (OverflowError, ValueError):  # a time that no calendar has
            reason = f"is outside of the calendar: {ruby_text(values)}"
            raise self._refused_relation(relation, reason) from None
        return lambda value: value is not None and start_text <= value < end_text

    def _period_bounds(self, relation: str, values: list[Any]) -> tuple[str, str]:
        unit_count = values[0]
        if not isinstance(unit_count, int):
            raise self._refused_relation(relation, f"expects an integer: {ruby_text(values)}")
        if unit_count < 0 and not relation.startswith("in_calendar_"):
            reason = f"expects at a positive Integer time unit: {ruby_text(values)}"
            raise self._refused_relation(relation, reason)
        is_date = self.field.data_type == "date"
        if relation.startswith("in_calendar_"):
            calendar_unit = relation.removeprefix("in_calendar_")
            today = self.current_time.date()
            first_day, day_after = calendar_span(today, calendar_unit, unit_count)
            suffix = "" if is_date else "T"
            return f"{first_day}{suffix}", f"{day_after}{suffix}"
        return self._bounds_around_now(relation, unit_count, values[1], is_date=is_date)

    def _bounds_around_now(
        self, relation: str, unit_count: int, calendar_unit: Any, *, is_date: bool
    ) -> tuple[str, str]:
        try:
            signed_count = -unit_count if relation == "in_last" else unit_count
            other_moment = shift_moment(self.current_time, signed_count, calendar_unit)
        except KeyError:
            unit_names = ruby_text(["HOUR", "DAY", "WEEK", "MONTH", "YEAR"])
            given = ruby_text([unit_count, calendar_unit])
            reason = f"doesn't support the '{calendar_unit}' time unit: {given}"
            known = f"Valid time units: {unit_names}"
            raise self._refused_relation(relation, f"{reason}\n{known}") from None
        lowest, highest = sorted((self.current_time, other_moment))
        if is_date:
            return _date_text(lowest), _date_text(highest) + "~"
        return api_timestamp(lowest), api_timestamp(highest) + "~"


def _date_text(moment: date) -> str:
    return moment.strftime("%Y-%m-%d")


def parse_entity_hash(method: str, entity_value: dict[str, Any]) -> EntityRef:
    """Return the link that a `{"type": ..., "id": ...}` denotes.

    Raises:
        RefusedCallError: One of the two is missing or of the wrong kind.
    """
    for hash_key, value_type in (("type", str), ("id", int)):
        if not isinstance(entity_value.get(hash_key), value_type):
            type_name = "string" if value_type is str else "integer"
            raise refused_call(
                method,
                f"invalid/missing entity hash {type_name} '{hash_key}':\n{ruby_text(entity_value)}",
            )
    return (entity_value["type"], entity_value["id"])


def _contains_object(value: Any, wanted_object: Any) -> bool:
    """Return whether an object contains all that another one does."""
    if not isinstance(value, dict) or not isinstance(wanted_object, dict):
        return False
    return all(name in value and value[name] == wanted for name, wanted in wanted_object.items())


def _tag_test(relation: str, wanted_text: str) -> ValueTest:
    if relation == "is":
        return lambda tags: wanted_text in map(str.casefold, tags)
    return lambda tags: any(wanted_text in tag.casefold() for tag in tags)


def _ordered_test(relation: str, stored_values: list[Any]) -> ValueTest:
    first_value = stored_values[0]
    if relation in ("is", "in"):
        return lambda value: value in stored_values
    if relation == "less_than":
        return lambda value: value is not None and first_value is not None and value < first_value
    if relation == "greater_than":
        return lambda value: value is not None and first_value is not None and value > first_value
    if None in stored_values:  # an open end matches nothing and is not an error
        return lambda _value: False
    lowest, highest = sorted(stored_values)
    return lambda value: value is not None and lowest <= value <= highest


def _text_test(relation: str, stored_values: list[Any]) -> ValueTest:
    """Return a test that ignores case, as sites compare text."""
    folded_values = [None if value is None else str(value).casefold() for value in stored_values]
    if relation in ("is", "in"):
        return lambda value: (None if value is None else value.casefold()) in folded_values
    wanted_text = folded_values[0] or ""
    if relation == "contains":
        return lambda value: value is not None and wanted_text in value.casefold()
    if relation == "starts_with":
        return lambda value: (value or "").casefold().startswith(wanted_text)
    return lambda value: (value or "").casefold().endswith(wanted_text)
