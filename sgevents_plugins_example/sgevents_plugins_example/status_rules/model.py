"""What a rule consists of, as the configuration has it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class When:
    """The events that a rule waits for; every key that is given has to hold, as in `@match`.

    A list holds if one of its members does.
    """

    entity_type: str
    attribute: str | list[str] | None = None
    event_type: str | list[str] | None = None
    """By default, changes if a key says something about a value, otherwise new records."""
    project: str | int | list[str | int] | None = None
    user: str | int | list[str | int] | None = None
    script: str | list[str] | None = None
    old_value: Any = None
    new_value: Any = None

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that are given, as `registrar.register` takes them."""
        named = {key.name: getattr(self, key.name) for key in dataclasses.fields(self)}
        del named["event_type"]
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Rule:
    """One rule."""

    when: When
    set: dict[str, Any] = field(default_factory=dict)
    """Field -> value."""
    clear: list[str] = field(default_factory=list)
    """Fields to empty."""
    linked: str = ""
    """`field.Type`: change the record that this field of the event's record links to."""
    linking: str = ""
    """`Type.field`: change the records of this type whose field links to the event's record."""
    currently: dict[str, Any] = field(default_factory=dict)
    """Change only records whose fields have these values now; of a list, any."""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse a rule that does nothing or says two things at once."""
        if not self.set and not self.clear:
            raise ValueError("a rule has to `set` or `clear` at least one field")
        if self.linked and self.linking:
            raise ValueError("a rule has `linked` or `linking`, not both")
        for key in ("linked", "linking"):
            written = getattr(self, key)
            if written and written.count(".") != 1:
                form = "field.Type" if key == "linked" else "Type.field"
                raise ValueError(f"{key} = {written!r} has to be written as {form}")

    def values(self) -> dict[str, Any]:
        """Return every field that is set, with its value; None empties it."""
        return {**self.set, **dict.fromkeys(self.clear)}

    def target_type(self) -> str:
        """Return the type of the records that are changed."""
        if self.linked:
            return self.linked.partition(".")[2]
        return self.linking.partition(".")[0] or self.when.entity_type


@dataclass(frozen=True)
class StatusRules:
    """The settings of the plugin."""

    rules: list[Rule]


def event_type_of(when: When) -> str | list[str]:
    """Return the types of event that a rule waits for."""
    if when.event_type is not None:
        return when.event_type
    is_change = any(value is not None for value in (when.attribute, when.old_value, when.new_value))
    return f"Shotgun_{when.entity_type}_{'Change' if is_change else 'New'}"
