"""Which entity types and fields the sandbox site has, and what values a field takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sgevents_core.sandbox.refusal import RefusedCallError, shown
from sgevents_core.sandbox.timestamps import is_date, read_timestamp

LINKS: Final = frozenset({"entity", "multi_entity", "addressing"})
"""Data types whose values are links to records."""

MANY: Final = frozenset({"multi_entity", "addressing"})
"""Data types whose values are lists of links."""

_CLASSES: Final[dict[str, tuple[str, tuple[type, ...]]]] = {
    "checkbox": ("[TrueClass, FalseClass]", (bool,)),
    "currency": ("[Float, Integer, NilClass]", (int, float)),
    "date": ("[String, NilClass]", (str,)),
    "date_time": ("[String, NilClass]", (str,)),
    "duration": ("[Integer, NilClass]", (int,)),
    "float": ("[Float, Integer, NilClass]", (int, float)),
    "number": ("[Integer, NilClass]", (int,)),
    "percent": ("[Integer, NilClass]", (int,)),
    "serializable": ("[Hash, Array, String, NilClass]", (dict, list, str)),
    "timecode": ("[Integer, NilClass]", (int,)),
    "url": ("[Hash, NilClass]", (dict,)),
}
_TEXT: Final = ("[String, NilClass]", (str,))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity type.

    Args:
        name: Its internal name, such as "sg_status_list".
        data_type: The API's data type, such as "status_list".
        label: The name that people read.
        valid_types: The entity types it may link to; empty means any.
        valid_values: The values of a list; empty means any.
        default: What a record gets that is created without it.
        editable: Whether the API may set it.
        back: The field of the linked record that lists this one in turn.
    """

    name: str
    data_type: str
    label: str
    valid_types: tuple[str, ...] = ()
    valid_values: tuple[str, ...] = ()
    default: Any = None
    editable: bool = True
    back: str | None = None

    @property
    def links(self) -> bool:
        """Whether its values are links."""
        return self.data_type in LINKS

    @property
    def many(self) -> bool:
        """Whether its values are lists of links."""
        return self.data_type in MANY


@dataclass(frozen=True, slots=True)
class EntityType:
    """One entity type: its name, the name people read, its fields, and the field that names it."""

    name: str
    label: str
    naming: str
    fields: dict[str, Field]


class Schema:
    """The entity types of a site. Types and fields can be added while it runs."""

    def __init__(self, types: Iterable[EntityType]) -> None:
        self._types = {kind.name: kind for kind in types}

    def __iter__(self) -> Iterator[EntityType]:
        return iter(list(self._types.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def add(self, kind: EntityType) -> None:
        """Add an entity type, or replace the one of that name."""
        self._types[kind.name] = kind

    def add_field(self, entity_type: str, field: Field) -> None:
        """Add a field to an entity type."""
        self._types[entity_type].fields[field.name] = field

    def get(self, method: str, name: object) -> EntityType:
        """Return the entity type `name`.

        Raises:
            RefusedCallError: There is none; the message begins with the API method's name.
        """
        kind = self._types.get(name) if isinstance(name, str) else None
        if kind is None:
            known = shown(sorted(self._types))
            raise RefusedCallError(
                f"API {method}() invalid/missing string entity 'type': {shown(name)}\n"
                f"Valid entity types: {known}"
            )
        return kind

    def field(self, method: str, entity_type: str, name: str) -> Field:
        """Return a field of an entity type.

        Raises:
            RefusedCallError: The entity type or the field does not exist.
        """
        found = self.get(method, entity_type).fields.get(name)
        if found is None:
            raise RefusedCallError(f"API {method}() {entity_type}.{name} doesn't exist.")
        return found


def scalar(method: str, entity_type: str, field: Field, value: Any) -> Any:
    """Return a value that is no link as the site keeps it.

    Raises:
        RefusedCallError: The value is not one of the field's data type.
    """
    if value is None and field.data_type != "checkbox":
        return None
    expected, classes = _CLASSES.get(field.data_type, _TEXT)
    wrong_bool = isinstance(value, bool) and bool not in classes
    if wrong_bool or not isinstance(value, classes):
        raise RefusedCallError(
            f"API {method}() {entity_type}.{field.name} expected {expected} data type(s) "
            f"but got {type(value).__name__}: {shown(value)}"
        )
    return _kept(method, entity_type, field, value)


def _kept(method: str, entity_type: str, field: Field, value: Any) -> Any:
    kept = value
    if field.data_type == "date_time":
        kept = read_timestamp(value)
    elif field.data_type == "date" and not is_date(value):
        kept = None
    if kept is None:
        raise RefusedCallError(
            f"API {method}() {entity_type}.{field.name}: Invalid data for "
            f"'{field.data_type}' data type. Value: {value}"
        )
    return kept
