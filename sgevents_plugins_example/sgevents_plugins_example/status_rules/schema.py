"""Check a rule against the schema of the site: misspelled fields, statuses that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from sgevents_plugins_example.status_rules.model import Rule


def check_schema(rule: Rule, sg: Any) -> None:
    """Check that the site has every type, field and listed value that a rule names.

    Args:
        rule: The rule.
        sg: The plugin's client.

    Raises:
        ValueError: It has not; the message says which, and what was probably meant.
    """
    known_types = sg.schema_entity_read()
    _check_name(rule.when.entity_type, known_types, "the site has no type")
    _check_name(rule.target_type(), known_types, "the site has no type")
    own_fields = sg.schema_field_read(rule.when.entity_type)
    if isinstance(rule.when.attribute, str) and "*" not in rule.when.attribute:
        _check_name(rule.when.attribute, own_fields, f"{rule.when.entity_type} has no field")
    if rule.linked:
        link_field = rule.linked.partition(".")[0]
        _check_name(link_field, own_fields, f"{rule.when.entity_type} has no field")
    target_fields = sg.schema_field_read(rule.target_type())
    if rule.linking:
        link_field = rule.linking.partition(".")[2]
        _check_name(link_field, target_fields, f"{rule.target_type()} has no field")
    for field, value in {**rule.currently, **rule.values()}.items():
        _check_name(field, target_fields, f"{rule.target_type()} has no field")
        _check_value(rule.target_type(), field, value, target_fields[field])
    for field in rule.values():
        if not target_fields[field]["editable"]["value"]:
            raise ValueError(f"{rule.target_type()}.{field} cannot be changed on this site")


def _check_value(entity_type: str, field: str, value: Any, described: Mapping[str, Any]) -> None:
    """Check a value of a status or list field."""
    properties = described.get("properties", {})
    listed = properties.get("valid_values", {}).get("value")
    for single in value if isinstance(value, list) else [value]:
        if listed and isinstance(single, str):
            _check_name(single, listed, f"{entity_type}.{field} cannot be")


def _check_name(name: str, known: Iterable[str], complaint: str) -> None:
    known_names = list(known)
    if name in known_names:
        return
    likely = difflib.get_close_matches(name, known_names, n=1)
    hint = f"did you mean {likely[0]}?" if likely else f"known: {', '.join(known_names[:20])}"
    raise ValueError(f"{complaint} {name}; {hint}")
