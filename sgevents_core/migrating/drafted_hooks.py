"""The source of hooks, and of events for their tests, from the filters of a classic plugin."""

from __future__ import annotations

import json
from typing import Final

from sgevents_core.events import type_parts
from sgevents_core.migrating.registrations import Registration, TypeFilter

_HOOKS: Final = {
    "New": "on_new",
    "Change": "on_change",
    "Retirement": "on_retirement",
    "Revival": "on_revival",
}
"""The action on a record -> its hook."""


_USED_NAMES: Final = frozenset(
    {
        "Any",
        "Callable",
        "Context",
        "Event",
        "annotations",
        "callbacks",
        "hookimpl",
        "match",
        "_call",
    }
)


def hook_function_name(callback_name: str, name_count: int) -> str:
    """Return a name for a hook's function that shadows no name its module uses."""
    hook_name = f"{callback_name}_hook" if callback_name in _USED_NAMES else callback_name
    return hook_name if name_count == 1 else f"{hook_name}_{name_count}"


def may_be_called(type_filter: TypeFilter) -> bool:
    """Return whether any event can match a filter: only changes have an attribute."""
    if type_filter.attributes is None or type_filter.event_type == "*":
        return type_filter.attributes != ()
    return bool(type_filter.attributes) and type_parts(type_filter.event_type).action == "Change"


def meets(type_filter: TypeFilter, tested_filter: TypeFilter) -> bool:
    """Return whether a filter also matches the event that a test makes for another filter."""
    if type_filter.event_type not in {"*", tested_filter.event_type}:
        return False
    return type_filter.attributes is None or bool(
        tested_filter.attributes and tested_filter.attributes[0] in type_filter.attributes
    )


def hook_source(
    registration: Registration, type_filter: TypeFilter, function_name: str, args_name: str
) -> str:
    """Return the source of one hook."""
    hook_name, match_conditions = _conditions(type_filter)
    hook_name = hook_name if may_be_called(type_filter) else "on_event"
    match_conditions.append(
        f'on_error="{"pause" if registration.stop_on_error else "dead-letter"}"'
    )
    mark_lines = []
    if not may_be_called(type_filter):
        mark_sentence = f"{type_filter.event_type} has no such attribute; is it ever called?"
        mark_lines.append(f"# TRANSLATE: {mark_sentence}\n")
    if type_filter.attributes == ():
        match_conditions.append("where=lambda event: False")
    if type_filter.is_bare:
        mark_lines.append("# TRANSLATE: the attribute was a bare string, in which was searched.\n")
    return (
        f"\n\n{''.join(mark_lines)}"
        f'@hookimpl(specname="{hook_name}")\n'
        f"@match({', '.join(match_conditions)})\n"
        f"def {function_name}(event: Event, ctx: Context) -> None:\n"
        f'    """Call {registration.callback_name} for {filter_words(type_filter)}."""\n'
        f"    _call(callbacks.{registration.callback_name}, event, ctx, {args_name})\n"
    )


def _conditions(type_filter: TypeFilter) -> tuple[str, list[str]]:
    """Return the hook for a filter, and the conditions of its `@match`."""
    event_parts = type_parts(type_filter.event_type)
    hook_name = (
        _HOOKS.get(event_parts.action or "", "on_event") if event_parts.entity_type else "on_event"
    )
    match_conditions = []
    if type_filter.event_type != "*":
        match_conditions.append(f"event_type={python_text(type_filter.event_type)}")
    if type_filter.attributes:
        listed_values = [python_text(attribute_name) for attribute_name in type_filter.attributes]
        shown_list = (
            listed_values[0] if len(listed_values) == 1 else f"[{', '.join(listed_values)}]"
        )
        match_conditions.append(f"attribute={shown_list}")
    return hook_name, match_conditions


def event_source(type_filter: TypeFilter) -> str:
    """Return the source code that builds an event matching a filter."""
    event_parts = type_parts(type_filter.event_type)
    attribute_name = type_filter.attributes[0] if type_filter.attributes else "description"
    if type_filter.event_type == "*":
        return f'sgevents_event.change("Shot", {python_text(attribute_name)}, "old", "new")'
    if event_parts.entity_type is None or event_parts.action is None:
        return f"sgevents_event.other({python_text(type_filter.event_type)})"
    entity_type = python_text(event_parts.entity_type)
    if event_parts.action == "Change":
        return f'sgevents_event.change({entity_type}, {python_text(attribute_name)}, "old", "new")'
    return f"sgevents_event.{event_parts.action.lower()}({entity_type})"


def filter_words(type_filter: TypeFilter) -> str:
    """Describe for people the events that a filter matches."""
    event_type = "every event" if type_filter.event_type == "*" else type_filter.event_type
    return (
        event_type
        if not type_filter.attributes
        else f"{event_type} of {', '.join(type_filter.attributes)}"
    )


def python_text(python_value: str) -> str:
    """Return a string as a Python literal."""
    return json.dumps(python_value)
