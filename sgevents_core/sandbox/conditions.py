"""The filters of a query, compiled: a test for each row, and the ids that can match at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from sgevents_core.sandbox.id_conditions import (
    EVERYTHING,
    HIGHEST,
    LOWEST,
    Ranges,
    complement,
    intersection,
    places,
    tidy,
    union,
)
from sgevents_core.sandbox.paths import Path, resolve
from sgevents_core.sandbox.records import Ref
from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.relations import NEGATED, Relation
from sgevents_core.sandbox.site_database import EVENT_LOG, Row, Rows, SiteDatabase
from sgevents_core.sandbox.timestamps import read_timestamp

_BACKWARDS: Final = "$FROM$"


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled filter.

    Args:
        test: Returns whether a row matches.
        ranges: Ids outside of these cannot match.
        exact: Whether all ids within match, so that no row needs to be read.
    """

    test: Callable[[Row], bool]
    ranges: Ranges = EVERYTHING
    exact: bool = False


ALL: Final = Condition(lambda _row: True, EVERYTHING, exact=True)
"""The condition that everything meets."""


def matching(rows: Rows, condition: Condition, *, descending: bool = False) -> Iterator[Row]:
    """Return the matching rows in id order."""
    ids, get, test = rows.ids, rows.get, condition.test
    for span in places(ids, condition.ranges, descending=descending):
        for place in span:
            row = get(ids[place])
            if condition.exact or test(row):
                yield row


class Compiler:
    """The compiler of the filters of one call.

    Args:
        database: The database that is queried.
        method: The API method that asks, for messages.
        script: The script that makes the call; rows may be hidden from it.
    """

    def __init__(self, database: SiteDatabase, method: str, script: str | None = None) -> None:
        self.database = database
        self.method = method
        self.script = script

    def group(self, entity_type: str, filters: dict[str, Any]) -> Condition:
        """Return the condition of a group, `{"logical_operator": ..., "conditions": [...]}`.

        Raises:
            RefusedCallError: It names something that does not exist or is not valid.
        """
        known = filters if isinstance(filters, dict) else {}
        operator, conditions = known.get("logical_operator", "and"), known.get("conditions")
        if operator not in ("and", "or") or not isinstance(conditions, list):
            raise RefusedCallError(f"API {self.method}() invalid/missing filters: {shown(filters)}")
        parts = [self.one(entity_type, condition) for condition in conditions]
        if not parts:
            return ALL
        return reduce(_both if operator == "and" else _either, parts)

    def one(self, entity_type: str, condition: Any) -> Condition:
        """Return the condition of one part of a group: a nested group, or a relation."""
        if isinstance(condition, dict) and "logical_operator" in condition:
            return self.group(entity_type, condition)
        named = isinstance(condition, dict) and (condition.get("path"), condition.get("relation"))
        if not named or not all(isinstance(name, str) for name in named):
            raise RefusedCallError(
                f"API {self.method}() invalid/missing condition: {shown(condition)}"
            )
        values = condition.get("values", [])
        values = values if isinstance(values, list) else [values]
        return self._relation(entity_type, condition["path"], condition["relation"], values)

    def _relation(self, entity_type: str, path: str, relation: str, values: list[Any]) -> Condition:
        if path.startswith(_BACKWARDS):
            return self._backwards(entity_type, path, relation, values)
        found = resolve(self.database, self.method, entity_type, path)
        now = self.database.clock()
        asked = Relation(self.database.records, self.method, found.entity_type, found.field, now)
        asked.check(relation)
        positive = NEGATED.get(relation, relation)
        test = asked.test(positive, values)
        condition = Condition(
            _on_row(found, test), *self._ranges(entity_type, path, positive, values)
        )
        return condition if positive == relation else _not(condition)

    def _ranges(
        self, entity_type: str, path: str, relation: str, values: list[Any]
    ) -> tuple[Ranges, bool]:
        ranges = None
        if path == "id":
            ranges = _id_ranges(relation, values)
        elif path == "created_at" and entity_type == EVENT_LOG:
            ranges = self._time_ranges(relation, values)
        return (EVERYTHING, False) if ranges is None else (ranges, True)

    def _time_ranges(self, relation: str, values: list[Any]) -> Ranges | None:
        """Return the ids of a span of time: timestamps of the log ascend with its ids."""
        if None in values or relation not in ("less_than", "greater_than", "between"):
            return None
        log = self.database.log
        ids = log.view(self.script)
        stamps = sorted(read_timestamp(value) or "" for value in values)
        first, end = 0, len(ids)
        if relation != "less_than":
            first = log.first_at(stamps[0], ids, after=relation == "greater_than")
        if relation != "greater_than":
            end = log.first_at(stamps[-1], ids, after=relation == "between")
        return ((ids[first], ids[end - 1]),) if first < end else ()

    def _backwards(
        self, entity_type: str, path: str, relation: str, values: list[Any]
    ) -> Condition:
        """Return the condition that some record linking to the row matches."""
        other, _, rest = path[len(_BACKWARDS) :].partition(".")
        linking, _, rest = rest.partition(".")
        field = self.database.schema.field(self.method, other, linking)
        if not field.links or not rest:
            self.database.schema.field(self.method, entity_type, path)
        refs = self._linked_by(other, linking, self._relation(other, rest, relation, values))
        ids = tidy((ref[1], ref[1]) for ref in refs if ref[0] == entity_type)
        return Condition(lambda row: (entity_type, row.id) in refs, ids, exact=True)

    def _linked_by(self, other: str, linking: str, condition: Condition) -> set[Ref]:
        rows = self.database.rows(other, script=self.script)
        refs: set[Ref] = set()
        for row in matching(rows, condition):
            # As stored, not as shown: this filter is used to find links to retired records.
            value = _stored(row, linking)
            refs.update(value if _several(value) else [value] if value else ())
        return refs


def _several(value: Any) -> bool:
    """Return whether a value is many links rather than one, which is a tuple too."""
    return isinstance(value, tuple) and (not value or isinstance(value[0], tuple))


def _stored(row: Any, name: str) -> Any:
    return row.values.get(name) if hasattr(row, "values") else getattr(row, name)


def _on_row(path: Path, test: Callable[[Any], bool]) -> Callable[[Row], bool]:
    get = path.get
    if path.several:
        return lambda row: any(test(value) for value in get(row))
    return lambda row: test(get(row))


def _not(condition: Condition) -> Condition:
    test = condition.test
    ranges = complement(condition.ranges) if condition.exact else EVERYTHING
    return Condition(lambda row: not test(row), ranges, condition.exact)


def _both(one: Condition, other: Condition) -> Condition:
    a, b = one.test, other.test
    ranges = intersection(one.ranges, other.ranges)
    return Condition(lambda row: a(row) and b(row), ranges, one.exact and other.exact)


def _either(one: Condition, other: Condition) -> Condition:
    a, b = one.test, other.test
    ranges = union(one.ranges, other.ranges)
    return Condition(lambda row: a(row) or b(row), ranges, one.exact and other.exact)


def _id_ranges(relation: str, values: list[Any]) -> Ranges | None:
    if not all(type(value) is int for value in values):
        return None
    if relation in ("is", "in"):
        return tidy((value, value) for value in values)
    if relation == "greater_than":
        return tidy([(values[0] + 1, HIGHEST)])
    if relation == "less_than":
        return tidy([(LOWEST, values[0] - 1)])
    return tidy([(min(values), max(values))]) if relation == "between" else None
