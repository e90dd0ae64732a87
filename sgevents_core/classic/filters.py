"""The filter of a classic callback: `matchEvents`, as the classic daemon understands it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sgevents_core.events import Event, Route
from sgevents_core.filters import Match

Attributes: TypeAlias = tuple[str, ...] | None
"""The attributes wanted for an event type; None for any, even for events without one."""
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class ClassicMatch(Match):
    """The events that a classic callback wants, by type and attribute.

    A type is compared as a whole. `by_type` with the type `*` makes all other types in it useless,
    as in the classic daemon.
    """

    by_type: Mapping[str, Attributes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Leave nothing to the route alone, which looks for an attribute in more places."""
        Match.__post_init__(self)
        object.__setattr__(self, "is_decided_by_route", False)

    def accepts_type(self, event_type: str) -> bool:
        """Return whether the callback can want any event of `event_type`."""
        return _ANY in self.by_type or event_type in self.by_type

    def accepts_route(self, route: Route) -> bool:
        """Return whether the callback can want events of a type and attribute."""
        event_type, attribute, *_ = route
        return self.accepts_type(event_type) and _accepts(self._wanted(event_type), attribute)

    def accepts(self, event: Event) -> bool:
        """Return whether `event` is wanted."""
        return self.accepts_type(event.event_type) and self.accepts_rest(event)

    def accepts_rest(self, event: Event) -> bool:
        """Return whether `event`, whose type is known to be accepted, is wanted."""
        return self._accepts_attribute(event) and Match.accepts_rest(self, event)

    def may_accept(self, event: Event) -> bool:
        """Return whether `event`, whose type is accepted, is wanted."""
        return self.accepts_rest(event)

    def may_accept_routed(self, event: Event) -> bool:
        """Return whether `event`, whose route is accepted, is wanted."""
        return self.accepts_rest(event)

    def why_not(self, event: Event) -> str | None:
        """Return the first condition that `event` does not meet, in words; None if it is wanted."""
        if not self.accepts_type(event.event_type):
            return f"event_type {event.event_type!r} is not {' or '.join(map(repr, self.by_type))}"
        if not self._accepts_attribute(event):
            wanted_attributes = (
                " or ".join(map(repr, self._wanted(event.event_type) or ())) or "any of none"
            )
            return f"attribute {event['attribute_name']!r} is not {wanted_attributes}"
        return Match.why_not(self, event)

    def describe(self) -> str:
        """Return the filter for people: `Shotgun_Task_Change(sg_status_list)`."""
        type_texts = [
            event_type
            if wanted_attributes is None
            else f"{event_type}({'|'.join(wanted_attributes)})"
            for event_type, wanted_attributes in self.by_type.items()
        ]
        rest_text = Match.describe(self) if self.not_script is not None else ""
        return " ".join(["matchEvents=" + ",".join(type_texts), *filter(None, [rest_text])])

    def _wanted(self, event_type: str) -> Attributes:
        return self.by_type[_ANY if _ANY in self.by_type else event_type]

    def _accepts_attribute(self, event: Event) -> bool:
        return _accepts(self._wanted(event.event_type), event["attribute_name"])


def _accepts(wanted_attributes: Attributes, event_attribute: str | None) -> bool:
    return wanted_attributes is None or (
        bool(event_attribute) and event_attribute in wanted_attributes
    )


def classic_match(match_events: object) -> tuple[Match, list[str]]:
    """Return the filter that `matchEvents` describes, and warnings about likely mistakes.

    Whatever the classic daemon accepts is accepted; what it cannot compare with an event matches
    nothing.
    """
    if not match_events:
        return Match(), []
    if isinstance(match_events, str):
        warning_text = f"matchEvents is the string {match_events!r}: it is taken as a type"
        return ClassicMatch(by_type={match_events: None}), [warning_text]
    if isinstance(match_events, Iterable) and not isinstance(match_events, Mapping | bytes):
        type_texts = [listed_type for listed_type in match_events if isinstance(listed_type, str)]
        warning_text = "matchEvents is not a dict: it is taken as types, each with any attribute"
        return ClassicMatch(by_type=dict.fromkeys(type_texts)), [warning_text]
    if not isinstance(match_events, Mapping):
        warning_text = f"matchEvents is {_kind_of(match_events)}: the callback is never called"
        return ClassicMatch(by_type={}), [warning_text]
    warning_texts: list[str] = []
    if _computes_types(match_events):
        warning_texts.append(
            f"matchEvents is {_kind_of(match_events)}, which computes its types: those that are in "
            "it now match"
        )
    by_type = {
        event_type: _attributes(event_type, attribute_setting, warning_texts)
        for event_type, attribute_setting in match_events.items()
        if isinstance(event_type, str)
    }
    return ClassicMatch(by_type=by_type), warning_texts


def _computes_types(match_events: Mapping[object, object]) -> bool:
    """Return whether a mapping may accept a type that it does not list."""
    return isinstance(match_events, dict) and (
        type(match_events).__contains__ is not dict.__contains__
    )


def _attributes(event_type: str, attribute_setting: object, warning_texts: list[str]) -> Attributes:
    if attribute_setting is None:
        return None
    if attribute_setting == _ANY:
        return None
    if isinstance(attribute_setting, str):
        warning_texts.append(
            f"matchEvents[{event_type!r}] is the string {attribute_setting!r}: it is taken as "
            f"[{attribute_setting!r}], and parts of it do not match"
        )
        return None if _ANY in attribute_setting else (attribute_setting,)
    if not isinstance(attribute_setting, Iterable) or isinstance(attribute_setting, bytes):
        value_kind = _kind_of(attribute_setting)
        warning_texts.append(
            f"matchEvents[{event_type!r}] is {value_kind}: no attribute matches it"
        )
        return ()
    attribute_names = tuple(name for name in attribute_setting if isinstance(name, str))
    return None if _ANY in attribute_names else attribute_names


def _kind_of(match_value: object) -> str:
    return f"of the type {type(match_value).__name__}"
