"""The entity types and fields of the sandbox site, and the values a field accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sgevents_core.sandbox.refused_calls import refused_call, ruby_text

LINK_TYPES: Final = frozenset({"entity", "multi_entity", "addressing"})
"""Data types whose values are links to records."""

MASKED: Final = "*******"
"""The value shown when any password is read."""

MULTI_LINK_TYPES: Final = frozenset({"multi_entity", "addressing"})
"""Data types whose values are lists of links."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entity type.

    Args:
        name: Its internal name, such as "sg_status_list".
        data_type: The API's data type, such as "status_list".
        label: The name shown to people.
        valid_types: The entity types it may link to; empty means any.
        valid_values: The values of a list; empty means any.
        default: The value of a record created without it.
        editable: Whether the API may set it.
        back_field: The field of the linked record that lists this one in turn.
        description: The description for people.
        summary_default: The default summary of its column.
        unique: Whether no two live records may have the same value.
        editable_on_create: Whether a create may set it though an update may not.
        restricts_types: Whether it accepts only the valid types. Most fields of a site accept any.
    """

    name: str
    data_type: str
    label: str
    valid_types: tuple[str, ...] = ()
    valid_values: tuple[str, ...] = ()
    default: Any = None
    editable: bool = True
    back_field: str | None = None
    description: str = ""
    summary_default: str = "none"
    unique: bool = False
    editable_on_create: bool = False
    restricts_types: bool = False

    @property
    def accepts_valid_types_only(self) -> bool:
        """Whether it refuses types other than `valid_types`."""
        return self.restricts_types or (self.is_multi_link and len(self.valid_types) == 1)

    @property
    def is_link(self) -> bool:
        """Whether its values are links."""
        return self.data_type in LINK_TYPES

    @property
    def is_multi_link(self) -> bool:
        """Whether its values are lists of links."""
        return self.data_type in MULTI_LINK_TYPES


@dataclass(frozen=True, slots=True)
class EntityType:
    """One entity type.

    Args:
        name: Its internal name.
        label: The name shown to people.
        name_field: The field that names its records; empty for none.
        fields: Its fields by name.
        name_template: How a record is named if that takes more than one field: "#{id}: {title}".
        default_name_template: The name of a record created without one: "New Delivery {id}".
        needs_project: Whether a record cannot be created without `project`.
    """

    name: str
    label: str
    name_field: str
    fields: dict[str, Field]
    name_template: str = ""
    default_name_template: str = ""
    needs_project: bool = False

    def default_name(self, entity_id: int) -> str | None:
        """Return the name of a record that is created without one, or None."""
        has_default_name = self.needs_project and self.name_field in ("code", "content")
        usual_template = "New {label} {id}" if has_default_name else ""
        name_template = self.default_name_template or usual_template
        return name_template.format(label=self.label, id=entity_id) or None


class SiteSchema:
    """The entity types of a site. Types and fields can be added while it runs."""

    def __init__(self, type_schemas: Iterable[EntityType]) -> None:
        self._types_by_name = {type_schema.name: type_schema for type_schema in type_schemas}

    def __iter__(self) -> Iterator[EntityType]:
        return iter(list(self._types_by_name.values()))

    def __contains__(self, type_name: object) -> bool:
        return type_name in self._types_by_name

    def add_type(self, type_schema: EntityType) -> None:
        """Add an entity type; replace one with the same name."""
        self._types_by_name[type_schema.name] = type_schema

    def add_field(self, entity_type: str, field: Field) -> None:
        """Add a field to an entity type."""
        self._types_by_name[entity_type].fields[field.name] = field

    def find_type(self, type_name: str) -> EntityType | None:
        """Return the entity type `type_name`, or None."""
        return self._types_by_name.get(type_name)

    def required_type(self, method: str, type_name: object) -> EntityType:
        """Return the entity type `type_name`.

        Raises:
            RefusedCallError: It does not exist; the message begins with the API method's name.
        """
        type_schema = self._types_by_name.get(type_name) if isinstance(type_name, str) else None
        if type_schema is None:
            valid_types = ruby_text(sorted(self._types_by_name))
            raise refused_call(
                method,
                f"invalid/missing string entity 'type': {ruby_text(type_name)}\n"
                f"Valid entity types: {valid_types}",
            )
        return type_schema

    def required_field(self, method: str, entity_type: str, field_name: str) -> Field:
        """Return a field of an entity type.

        Raises:
            RefusedCallError: The entity type or the field does not exist.
        """
        fields = self.required_type(method, entity_type).fields
        field = fields.get(field_name) if isinstance(field_name, str) else None
        if field is None:
            raise refused_call(method, f"{entity_type}.{field_name} doesn't exist.")
        return field
