"""The entity types and fields of the sandbox site, and the values a field accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sgevents_core.sandbox.refusal import RefusedCallError, shown

LINKS: Final = frozenset({"entity", "multi_entity", "addressing"})
"""Data types whose values are links to records."""

MASKED: Final = "*******"
"""What any password reads as."""

MANY: Final = frozenset({"multi_entity", "addressing"})
"""Data types whose values are lists of links."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity type.

    Args:
        name: Its internal name, such as "sg_status_list".
        data_type: The API's data type, such as "status_list".
        label: The name that people read.
        valid_types: The entity types it may link to; empty means any.
        valid_values: The values of a list; empty means any.
        default: The value of a record created without it.
        editable: Whether the API may set it.
        back: The field of the linked record that lists this one in turn.
        description: The description for people.
        summary_default: The default summary of its column.
        unique: Whether no two live records may have the same value.
        on_create: Whether a create may set it though an update may not.
        binds: Whether it accepts only the valid types. Most fields of a site accept any.
    """

    name: str
    data_type: str
    label: str
    valid_types: tuple[str, ...] = ()
    valid_values: tuple[str, ...] = ()
    default: Any = None
    editable: bool = True
    back: str | None = None
    description: str = ""
    summary_default: str = "none"
    unique: bool = False
    on_create: bool = False
    binds: bool = False

    @property
    def binding(self) -> bool:
        """Whether it refuses types other than `valid_types`."""
        return self.binds or (self.many and len(self.valid_types) == 1)

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
    """One entity type.

    Args:
        name: Its internal name.
        label: The name that people read.
        naming: The field that names its records; empty for none.
        fields: Its fields by name.
        shown_as: How a record is named if that takes more than one field: "#{id}: {title}".
        new_name: The name of a record created without one: "New Delivery {id}".
        needs_project: Whether a record cannot be created without `project`.
    """

    name: str
    label: str
    naming: str
    fields: dict[str, Field]
    shown_as: str = ""
    new_name: str = ""
    needs_project: bool = False

    def made_up_name(self, number: int) -> str | None:
        """Return the name of a record that is created without one, or None."""
        usual = self.needs_project and self.naming in ("code", "content")
        text = self.new_name or ("New {label} {id}" if usual else "")
        return text.format(label=self.label, id=number) or None


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

    def find(self, name: str) -> EntityType | None:
        """Return the entity type `name`, or None."""
        return self._types.get(name)

    def get(self, method: str, name: object) -> EntityType:
        """Return the entity type `name`.

        Raises:
            RefusedCallError: It does not exist; the message begins with the API method's name.
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
        fields = self.get(method, entity_type).fields
        found = fields.get(name) if isinstance(name, str) else None
        if found is None:
            raise RefusedCallError(f"API {method}() {entity_type}.{name} doesn't exist.")
        return found
