"""Find rules that would set each other off for ever.

A rule sets off another by writing a value that the other waits for. A circle of rules comes to rest
if it always writes the same, since what is set already is not written. It never does if it writes
two different values into one field.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

from sgevents_plugins_example.status_rules.model import Rule, event_type_of


def check_circles(rules: Sequence[Rule]) -> None:
    """Check that every circle of rules comes to rest.

    Raises:
        ValueError: One does not; the message names two of its rules.
    """
    reached = [_reached_from(start, rules) for start in range(len(rules))]
    for first, second in combinations(range(len(rules)), 2):
        if second not in reached[first] or first not in reached[second]:
            continue
        field = _contested_field(rules[first], rules[second])
        if field is not None:
            raise ValueError(
                f"rules {first + 1} and {second + 1} would set "
                f"{rules[first].target_type()}.{field} to {rules[first].values()[field]!r} and "
                f"{rules[second].values()[field]!r} in turn, for ever: "
                "limit one with `currently`, or drop it"
            )


def _reached_from(start: int, rules: Sequence[Rule]) -> set[int]:
    """Return the rules that one sets off, at once or through others."""
    reached: set[int] = set()
    waiting = [start]
    while waiting:
        rule = rules[waiting.pop()]
        for index, other in enumerate(rules):
            if index not in reached and _sets_off(rule, other):
                reached.add(index)
                waiting.append(index)
    return reached


def _contested_field(rule: Rule, other: Rule) -> str | None:
    """Return a field that two rules would set to different values in turn; None if there is none.

    A rule with `currently` leaves values alone that it does not list.
    """
    if rule.target_type() != other.target_type():
        return None
    for field, value in rule.values().items():
        other_value = other.values().get(field, value)
        if value != other_value and (
            _is_value(other_value, rule.currently.get(field))
            and _is_value(value, other.currently.get(field))
        ):
            return field
    return None


def _sets_off(rule: Rule, other: Rule) -> bool:
    """Return whether what a rule writes may be what the other waits for."""
    if rule.target_type() != other.when.entity_type:
        return False
    change_type = f"Shotgun_{rule.target_type()}_Change"
    if not any(fnmatchcase(change_type, wanted) for wanted in _as_list(event_type_of(other.when))):
        return False
    return any(
        _is_wanted(field, other.when.attribute) and _is_value(value, other.when.new_value)
        for field, value in rule.values().items()
    )


def _is_wanted(field: str, attribute: str | list[str] | None) -> bool:
    return attribute is None or any(fnmatchcase(field, wanted) for wanted in _as_list(attribute))


def _is_value(value: Any, wanted: Any) -> bool:
    return wanted is None or value in _as_list(wanted)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
