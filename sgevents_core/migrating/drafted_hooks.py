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


def hook_function_name(callback: str, count: int) -> str:
    """Return a name for a hook's function that shadows no name its module uses."""
    name = f"{callback}_hook" if callback in _USED_NAMES else callback
    return name if count == 1 else f"{name}_{count}"


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
    registration: Registration, type_filter: TypeFilter, function: str, args: str
) -> str:
    """Return the source of one hook."""
    hook, conditions = _conditions(type_filter)
    hook = hook if may_be_called(type_filter) else "on_event"
    conditions.append(f'on_error="{"pause" if registration.stop_on_error else "dead-letter"}"')
    marks = []
    if not may_be_called(type_filter):
        sentence = f"{type_filter.event_type} has no such attribute; is it ever called?"
        marks.append(f"# TRANSLATE: {sentence}\n")
    if type_filter.attributes == ():
        conditions.append("where=lambda event: False")
    if type_filter.is_bare:
        marks.append("# TRANSLATE: the attribute was a bare string, in which was searched.\n")
    return (
        f"\n\n{''.join(marks)}"
        f'@hookimpl(specname="{hook}")\n'
        f"@match({', '.join(conditions)})\n"
        f"def {function}(event: Event, ctx: Context) -> None:\n"
        f'    """Call {registration.callback_name} for {filter_words(type_filter)}."""\n'
        f"    _call(callbacks.{registration.callback_name}, event, ctx, {args})\n"
    )


def _conditions(type_filter: TypeFilter) -> tuple[str, list[str]]:
    """Return the hook for a filter, and the conditions of its `@match`."""
    event_parts = type_parts(type_filter.event_type)
    hook = (
        _HOOKS.get(event_parts.action or "", "on_event") if event_parts.entity_type else "on_event"
    )
    conditions = []
    if type_filter.event_type != "*":
        conditions.append(f"event_type={python_text(type_filter.event_type)}")
    if type_filter.attributes:
        listed = [python_text(attribute) for attribute in type_filter.attributes]
        shown_list = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
        conditions.append(f"attribute={shown_list}")
    return hook, conditions


def event_source(type_filter: TypeFilter) -> str:
    """Return the source code that builds an event matching a filter."""
    event_parts = type_parts(type_filter.event_type)
    attribute = type_filter.attributes[0] if type_filter.attributes else "description"
    if type_filter.event_type == "*":
        return f'sgevents_event.change("Shot", {python_text(attribute)}, "old", "new")'
    if event_parts.entity_type is None or event_parts.action is None:
        return f"sgevents_event.other({python_text(type_filter.event_type)})"
    entity_type = python_text(event_parts.entity_type)
    if event_parts.action == "Change":
        return f'sgevents_event.change({entity_type}, {python_text(attribute)}, "old", "new")'
    return f"sgevents_event.{event_parts.action.lower()}({entity_type})"


def filter_words(type_filter: TypeFilter) -> str:
    """Describe for people the events that a filter matches."""
    event_type = "every event" if type_filter.event_type == "*" else type_filter.event_type
    return (
        event_type
        if not type_filter.attributes
        else f"{event_type} of {', '.join(type_filter.attributes)}"
    )


def python_text(text: str) -> str:
    """Return a string as a Python literal."""
    return json.dumps(text)
