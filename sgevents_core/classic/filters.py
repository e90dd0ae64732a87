"""The filter of a classic callback: `matchEvents`, as the classic daemon understands it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sgevents_core.events import Event, Route
from sgevents_core.filters import Match, WrongValueError

Attributes: TypeAlias = tuple[str, ...] | None
"""The attributes wanted of a type; None for any, also for events without one."""
_ANY: Final = "*"
_ADVICE: Final = 'Give a dict such as {"Shotgun_Task_Change": ["sg_status_list"]}, or None for all.'


@dataclass(frozen=True, slots=True)
class ClassicMatch(Match):
    """The events that a classic callback wants, by type and attribute.

    A type is compared as a whole. `by_type` with the type `*` makes all other types in it useless,
    as in the classic daemon.
    """

    by_type: Mapping[str, Attributes] = field(default_factory=dict)

    def accepts_type(self, event_type: str) -> bool:
        """Return whether events of `event_type` can be wanted at all."""
        return _ANY in self.by_type or event_type in self.by_type

    def accepts_route(self, route: Route) -> bool:
        """Return whether events of a type, attribute and entity type can be wanted at all."""
        event_type, attribute, _ = route
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
            wanted = " or ".join(map(repr, self._wanted(event.event_type) or ())) or "any of none"
            return f"attribute {event['attribute_name']!r} is not {wanted}"
        return Match.why_not(self, event)

    def describe(self) -> str:
        """Return the filter for people: `Shotgun_Task_Change(sg_status_list)`."""
        types = [
            event_type if attributes is None else f"{event_type}({'|'.join(attributes)})"
            for event_type, attributes in self.by_type.items()
        ]
        rest = Match.describe(self) if self.not_script is not None else ""
        return " ".join(["matchEvents=" + ",".join(types), *filter(None, [rest])])

    def _wanted(self, event_type: str) -> Attributes:
        return self.by_type[_ANY if _ANY in self.by_type else event_type]

    def _accepts_attribute(self, event: Event) -> bool:
        return _accepts(self._wanted(event.event_type), event["attribute_name"])


def _accepts(wanted: Attributes, attribute: str | None) -> bool:
    return wanted is None or (bool(attribute) and attribute in wanted)


def classic_match(match_events: object) -> tuple[Match, list[str]]:
    """Return the filter that `matchEvents` describes, and warnings about likely mistakes.

    Raises:
        WrongValueError: It cannot be compared with events.
    """
    if not match_events:
        return Match(), []
    warnings: list[str] = []
    if isinstance(match_events, str):
        warnings.append(f"matchEvents={match_events!r} is taken as {{{match_events!r}: None}}")
        return ClassicMatch(by_type={match_events: None}), warnings
    if isinstance(match_events, (list, tuple, set, frozenset)):
        warnings.append("matchEvents is a list; it is taken as types with any attribute")
        match_events = dict.fromkeys(match_events)
    if not isinstance(match_events, Mapping):
        raise WrongValueError(f"matchEvents={match_events!r} is not a dict", _ADVICE)
    by_type = {
        _type_name(event_type): _attributes(event_type, attributes, warnings)
        for event_type, attributes in match_events.items()
    }
    return ClassicMatch(by_type=by_type), warnings


def _type_name(event_type: object) -> str:
    if not isinstance(event_type, str):
        raise WrongValueError(f"matchEvents has the key {event_type!r}", _ADVICE)
    return event_type


def _attributes(event_type: object, attributes: object, warnings: list[str]) -> Attributes:
    if attributes is None:
        return None
    if isinstance(attributes, str):
        warnings.append(
            f"matchEvents[{event_type!r}] is the string {attributes!r}: it is taken as "
            f"[{attributes!r}], and parts of it do not match"
        )
        return None if _ANY in attributes else (attributes,)
    if not isinstance(attributes, (list, tuple, set, frozenset, Mapping)):
        raise WrongValueError(f"matchEvents[{event_type!r}] is {attributes!r}", _ADVICE)
    names = tuple(name for name in attributes if isinstance(name, str))
    return None if _ANY in names else names
