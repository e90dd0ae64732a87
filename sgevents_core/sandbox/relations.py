"""The relations of a filter: which of them a data type accepts, and what each one tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from sgevents_core.moments import stamp_of
from sgevents_core.sandbox.datatypes import HASH, ValuePlace, known
from sgevents_core.sandbox.entity_schema import Field
from sgevents_core.sandbox.records import Records, Ref
from sgevents_core.sandbox.refusal import CRUD, RefusedCallError, shown
from sgevents_core.sandbox.timestamps import calendar_span, shifted

Test = Callable[[Any], bool]
"""Stored value -> whether it matches."""

NEGATED: Final = {
    "is_not": "is",
    "not_in": "in",
    "not_contains": "contains",
    "not_between": "between",
    "not_in_last": "in_last",
    "not_in_next": "in_next",
    "type_is_not": "type_is",
    "name_not_contains": "name_contains",
}
"""A relation that holds exactly if another one does not."""

_EQUAL: Final = ("is", "is_not")
_CHOICE: Final = (*_EQUAL, "in", "not_in")
_ORDER: Final = (*_EQUAL, "greater_than", "less_than", "between", "in", "not_in")
_TIME: Final = (
    *(*_EQUAL, "greater_than", "less_than"),
    *("in_last", "not_in_last", "in_next", "not_in_next"),
    *("in_calendar_week", "in_calendar_month", "in_calendar_day", "in_calendar_year"),
    *("between", "in", "not_in"),
)
_TEXT: Final = (*("contains", "not_contains", *_EQUAL, "starts_with", "ends_with", "in", "not_in"),)
_LINK: Final = (
    *_EQUAL,
    *("name_contains", "name_not_contains", "name_is", "type_is", "type_is_not", "in", "not_in"),
)

RELATIONS: Final[dict[str, tuple[str, ...]]] = {
    "addressing": (*_LINK, "contains", "not_contains", "name_starts_with", "name_ends_with"),
    "checkbox": _EQUAL,
    "color": _CHOICE,
    "currency": (*_ORDER, "not_between"),
    "date": _TIME,
    "date_time": _TIME,
    "duration": _ORDER,
    "entity": _LINK,
    "entity_type": _CHOICE,
    "float": _ORDER,
    "footage": _ORDER,
    "image": _EQUAL,
    "jsonb": (*_EQUAL, "contains", "not_contains"),
    "list": _CHOICE,
    "multi_entity": _LINK,
    "number": _ORDER,
    "percent": _ORDER,
    "status_list": _CHOICE,
    "tag_list": (*_EQUAL, "name_contains", "name_not_contains"),
    "text": _TEXT,
    "timecode": _ORDER,
    "uuid": _CHOICE,
}
"""Data type -> the relations it accepts. The others cannot be filtered on."""

_SIZES: Final = {"between": 2, "in_last": 2, "in_next": 2}


class Relation:
    """One relation on one field, ready to make tests of.

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
        self.now = now

    def test(self, relation: str, values: list[Any]) -> Test:
        """Return the test of a relation that is not a negation.

        Raises:
            RefusedCallError: The number or the kind of the values is wrong.
        """
        self._check_size(relation, values)
        if self.field.data_type == "tag_list":
            return _on_tags(relation, str(values[0]).casefold())
        if relation.startswith("name_"):
            return self._name(relation, values[0])
        if relation == "type_is":
            return self._type_is(values[0])
        if self.field.links:
            return self._linked(relation, values)
        if relation in ("in_last", "in_next") or relation.startswith("in_calendar_"):
            return self._period(relation, values)
        return self._scalar(relation, values)

    def check(self, relation: str) -> None:
        """Raise RefusedCallError if the field's data type does not accept the relation."""
        taken = RELATIONS.get(self.field.data_type)
        where = f"API {self.method}() {self.entity_type}.{self.field.name}'s"
        kind = f"'{self.field.data_type}' data type"
        if taken is None:
            raise RefusedCallError(f"{where} {kind} cannot be used in a filter.")
        if relation not in taken:
            raise RefusedCallError(
                f"{where} {kind} doesn't support '{relation}' 'relation'\n"
                f"Valid relations: {shown(list(taken))}"
            )

    def _check_size(self, relation: str, values: list[Any]) -> None:
        size = _SIZES.get(relation, 1)
        wrong = not values if relation == "in" else len(values) != size
        if wrong:
            wanted = "at least a 1-element" if relation == "in" else f"a {size}-element"
            raise RefusedCallError(
                f"API {self.method}() '{relation}' 'relation' expects {wanted} array:\n"
                f"{shown(values)}"
            )

    def _known(self, value: Any) -> Any:
        return known(ValuePlace(self.method, self.entity_type, self.field), value)

    def _scalar(self, relation: str, values: list[Any]) -> Test:
        if relation == "in" and self.field.data_type == "text" and None in values:
            raise RefusedCallError(
                f"API {self.method}() CRUD ERROR #1: Read failed for entity type "
                f"[{self.entity_type}]",
                CRUD,
            )
        kept = [self._known(value) for value in values]
        if self.field.data_type == "jsonb" and relation == "contains":
            return lambda value: _holds(value, kept[0])
        if self.field.data_type == "text" and relation == "in":
            # No row holds empty text, so `in [""]` finds nothing, though `is ""` finds the unset.
            kept = [one for one in kept if one is not None]
        return (_on_text if self.field.data_type in ("text", "list") else _on_ordered)(
            relation, kept
        )

    def _ref(self, value: Any) -> Ref | None:
        if value is None:
            return None
        if not isinstance(value, dict) and self.field.many:
            raise RefusedCallError(
                f"API {self.method}() invalid/missing entity hash: {shown(value)}"
            )
        if not isinstance(value, dict):
            ValuePlace(self.method, self.entity_type, self.field).wrong_class(HASH, value)
        return entity_hash(self.method, value)

    def _linked(self, relation: str, values: list[Any]) -> Test:
        refs = {self._ref(value) for value in values}
        if not self.field.many:
            return lambda ref: ref in refs
        empty = None in refs
        return lambda found: any(ref in refs for ref in found) or (empty and not found)

    def _each_link(self, test: Callable[[Ref], bool]) -> Test:
        if self.field.many:
            return lambda found: any(test(ref) for ref in found)
        return lambda ref: ref is not None and test(ref)

    def _type_is(self, wanted: Any) -> Test:
        if wanted is None:
            return lambda found: not found
        return self._each_link(lambda ref: ref[0] == wanted)

    def _name(self, relation: str, wanted: Any) -> Test:
        by_text = _on_text({"name_is": "is"}.get(relation, relation[5:]), [wanted])

        def named(ref: Ref) -> bool:
            link = self.records.link(ref)
            return link is not None and by_text(link["name"])

        return self._each_link(named)

    def _period(self, relation: str, values: list[Any]) -> Test:
        try:
            first, after = self._span(relation, values)
        except (OverflowError, ValueError):  # a time that no calendar has
            raise RefusedCallError(
                f"API {self.method}() '{relation}' 'relation' leads out of the calendar: "
                f"{shown(values)}"
            ) from None
        return lambda value: value is not None and first <= value < after

    def _span(self, relation: str, values: list[Any]) -> tuple[str, str]:
        number = values[0]
        if not isinstance(number, int):
            raise RefusedCallError(
                f"API {self.method}() '{relation}' 'relation' expects an integer: {shown(values)}"
            )
        if number < 0 and not relation.startswith("in_calendar_"):
            raise RefusedCallError(
                f"API {self.method}() '{relation}' 'relation' expects at a positive Integer time "
                f"unit: {shown(values)}"
            )
        dates = self.field.data_type == "date"
        if relation.startswith("in_calendar_"):
            unit = relation.removeprefix("in_calendar_")
            first, after = calendar_span(self.now.date(), unit, number)
            return (str(first), str(after)) if dates else (f"{first}T", f"{after}T")
        return self._around_now(relation, number, values[1], dates=dates)

    def _around_now(self, relation: str, number: int, unit: Any, *, dates: bool) -> tuple[str, str]:
        try:
            other = shifted(self.now, -number if relation == "in_last" else number, unit)
        except KeyError:
            units = shown(["HOUR", "DAY", "WEEK", "MONTH", "YEAR"])
            raise RefusedCallError(
                f"API {self.method}() '{relation}' 'relation' doesn't support the '{unit}' time "
                f"unit: {shown([number, unit])}\nValid time units: {units}"
            ) from None
        low, high = sorted((self.now, other))
        if dates:
            return _day(low), _day(high) + "~"
        return stamp_of(low), stamp_of(high) + "~"


def _day(moment: date) -> str:
    return moment.strftime("%Y-%m-%d")


def entity_hash(method: str, value: dict[str, Any]) -> Ref:
    """Return the link that a `{"type": ..., "id": ...}` denotes.

    Raises:
        RefusedCallError: One of the two is missing or of the wrong kind.
    """
    for key, kind in (("type", str), ("id", int)):
        if not isinstance(value.get(key), kind):
            name = "string" if kind is str else "integer"
            raise RefusedCallError(
                f"API {method}() invalid/missing entity hash {name} '{key}':\n{shown(value)}"
            )
    return (value["type"], value["id"])


def _holds(value: Any, wanted: Any) -> bool:
    """Return whether an object contains everything that another one has."""
    if not isinstance(value, dict) or not isinstance(wanted, dict):
        return False
    return all(name in value and value[name] == some for name, some in wanted.items())


def _on_tags(relation: str, wanted: str) -> Test:
    if relation == "is":
        return lambda tags: wanted in map(str.casefold, tags)
    return lambda tags: any(wanted in tag.casefold() for tag in tags)


def _on_ordered(relation: str, known: list[Any]) -> Test:
    first = known[0]
    if relation in ("is", "in"):
        return lambda value: value in known
    if relation == "less_than":
        return lambda value: value is not None and first is not None and value < first
    if relation == "greater_than":
        return lambda value: value is not None and first is not None and value > first
    if None in known:  # an open end matches nothing and is not an error
        return lambda _value: False
    low, high = sorted(known)
    return lambda value: value is not None and low <= value <= high


def _on_text(relation: str, known: list[Any]) -> Test:
    """Return text without regard to case, as sites compare it."""
    folded = [None if value is None else str(value).casefold() for value in known]
    if relation in ("is", "in"):
        return lambda value: (None if value is None else value.casefold()) in folded
    wanted = folded[0] or ""
    if relation == "contains":
        return lambda value: value is not None and wanted in value.casefold()
    if relation == "starts_with":
        return lambda value: (value or "").casefold().startswith(wanted)
    return lambda value: (value or "").casefold().endswith(wanted)
