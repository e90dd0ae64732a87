"""Set fields when something changes, by rules in the configuration: no code.

A rule has an event to wait for, as `@match` describes it, and the fields to set: on the event's
record, on a record that it links to, or on all records that link to it. What is set already is not
written, so a repeated call does no harm, and rules that would undo each other for ever are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sgevents_core import Context, Event, Registrar, hookimpl
from sgevents_plugins_example.status_rules.circles import check_circles
from sgevents_plugins_example.status_rules.model import Rule, StatusRules, event_type_of
from sgevents_plugins_example.status_rules.schema import check_schema


@hookimpl
def settings_model() -> type[StatusRules]:
    """Return the model of the settings: a list of rules."""
    return StatusRules


@hookimpl
def register_callbacks(registrar: Registrar) -> None:
    """Register one callback for each rule, in the order of the configuration.

    Raises:
        ValueError: Rules would undo each other for ever.
    """
    rules = registrar.settings.rules
    check_circles(rules)
    for number, rule in enumerate(rules, start=1):
        registrar.register(
            AppliedRule(rule),
            event_type=event_type_of(rule.when),
            name=f"rule {number}" + (f": {rule.name}" if rule.name else ""),
            **rule.when.conditions(),
        )


@hookimpl
def startup(ctx: Context) -> None:
    """Check the rules against the site's schema.

    Raises:
        ValueError: A rule names a type, a field or a value that the site does not have.
    """
    for rule in ctx.settings.rules:
        check_schema(rule, ctx.sg)


class AppliedRule:
    """Applies one rule to the event's record.

    Args:
        rule: The rule.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __call__(self, event: Event, ctx: Context) -> None:
        """Set the rule's fields wherever they differ, all at once."""
        if event.entity_type is None or event.entity_id is None:
            return
        records = self._read_targets(event.entity_type, event.entity_id, ctx.sg)
        updates = [
            {
                "request_type": "update",
                "entity_type": record["type"],
                "entity_id": record["id"],
                "data": changes,
            }
            for record in records
            if (changes := self._changes_of(record))
        ]
        if updates:
            ctx.sg.batch(updates)
            shown = ", ".join(
                f"{update['entity_type']} {update['entity_id']}" for update in updates
            )
            ctx.logger.info("set %s of %s", ", ".join(self._rule.values()), shown)

    def _read_targets(self, entity_type: str, entity_id: int, sg: Any) -> Sequence[dict[str, Any]]:
        """Return the records to change, with the fields that decide whether they are changed."""
        fields = sorted({*self._rule.values(), *self._rule.currently})
        if self._rule.linking:
            linking_type, _, link_field = self._rule.linking.partition(".")
            filters = [[link_field, "is", {"type": entity_type, "id": entity_id}]]
            return list(sg.find(linking_type, filters, fields))
        if self._rule.linked:
            return self._read_linked(entity_type, entity_id, fields, sg)
        return list(sg.find(entity_type, [["id", "is", entity_id]], fields))

    def _read_linked(
        self, entity_type: str, entity_id: int, fields: list[str], sg: Any
    ) -> Sequence[dict[str, Any]]:
        """Return the records of the rule's type that a field of the event's record links to."""
        link_field, _, linked_type = self._rule.linked.partition(".")
        found = sg.find_one(entity_type, [["id", "is", entity_id]], [link_field])
        links = (found or {}).get(link_field) or []
        listed = [links] if isinstance(links, Mapping) else links
        ids = [link["id"] for link in listed if link["type"] == linked_type]
        return list(sg.find(linked_type, [["id", "in", ids]], fields)) if ids else []

    def _changes_of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values to set on a record; none where the rule does not apply to it."""
        for field, wanted in self._rule.currently.items():
            if not any(_is_same(record[field], value) for value in _as_list(wanted)):
                return {}
        return {
            field: value
            for field, value in self._rule.values().items()
            if not _is_same(record[field], value)
        }


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two values of a field are equal; links are compared by type and id."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return (first.get("type"), first.get("id")) == (second.get("type"), second.get("id"))
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return all(any(_is_same(one, other) for other in second) for one in first)
    return bool(first == second)
