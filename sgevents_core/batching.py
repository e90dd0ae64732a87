"""How events come into batches: the rules that `@match` and the registrar take, as a value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from sgevents_core.errors import DurationError
from sgevents_core.filters import WrongValueError

if TYPE_CHECKING:
    from sgevents_core.events import Event

Duration: TypeAlias = str | float | timedelta
"""Seconds, text such as `"2s"`, or a timedelta."""
By: TypeAlias = Literal["entity", "project"] | Callable[["Event"], object]
"""What events of one batch have in common."""

DEFAULT_AT_MOST: Final = 30.0
DEFAULT_SIZE: Final = 100
LARGEST_SIZE: Final = 1000
LONGEST_WAIT: Final = 86_400.0
"""The most seconds that an event may wait in a batch."""


@dataclass(frozen=True, slots=True)
class BatchRules:
    """When the events of one key are handed to a callback.

    Args:
        pause: Seconds without another event after which a batch is complete.
        at_most: Seconds after its first event at which it is complete in any case.
        size: The number of events at which it is complete in any case.
        by: What events of one batch have in common: "entity", "project", or a function's result.
    """

    pause: float
    at_most: float
    size: int
    by: By = "entity"

    @property
    def asks_plugin(self) -> bool:
        """Whether the key of an event is the result of a plugin's function."""
        return callable(self.by)

    def describe(self) -> str:
        """Return the rules for people: `in batches by entity, pause 2s, at most 30s, size 100`."""
        from sgevents_core.settings.durations import format_duration  # noqa: PLC0415 - seldom asked

        by = self.by if isinstance(self.by, str) else getattr(self.by, "__qualname__", "a function")
        pause, at_most = format_duration(self.pause), format_duration(self.at_most)
        return f"in batches by {by}, pause {pause}, at most {at_most}, size {self.size}"

    def key_of(self, event: Event) -> str:
        """Return the text that events of one batch have in common.

        Raises:
            TypeError: The plugin's function returned something that JSON cannot represent.
        """
        if self.by == "entity":
            return _record_key(event) or _project_key(event) or f"event {event.id}"
        if self.by == "project":
            return _project_key(event) or _record_key(event) or f"event {event.id}"
        return _text_of(self.by(event))


def checked_batch(
    batch: Duration | None, by: By | None, at_most: Duration | None, size: int | None
) -> BatchRules | None:
    """Return the rules that the arguments of `@match` give; None without `batch`.

    Raises:
        WrongValueError: A value is wrong.
    """
    if batch is None:
        for name, value in (("by", by), ("at_most", at_most), ("size", size)):
            if value is not None:
                raise WrongValueError(
                    f"{name} is given without batch",
                    'Give the pause that ends a batch too: batch="2s".',
                )
        return None
    pause = _seconds("batch", batch)
    longest = max(DEFAULT_AT_MOST, pause) if at_most is None else _seconds("at_most", at_most)
    if longest < pause:
        raise WrongValueError(
            f"at_most={at_most!r} is shorter than batch={batch!r}",
            "at_most limits how long the first event of a batch waits: give more than the pause.",
        )
    return BatchRules(pause, longest, _checked_size(size), _checked_by(by))


def _seconds(name: str, value: object) -> float:
    advice = 'Give seconds, or text such as "2s" or "5m"; at least "10ms", at most "1d".'
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(value, str):
        from sgevents_core.settings.durations import parse_duration  # noqa: PLC0415 - seldom asked

        try:
            seconds = parse_duration(value)
        except DurationError as error:
            raise WrongValueError(f"{name}: {str(error).rstrip('.')}", advice) from None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not 0.01 <= seconds <= LONGEST_WAIT
        or math.isnan(seconds)
    ):
        raise WrongValueError(f"{name}={value!r} is no time to wait for", advice)
    return float(seconds)


def _checked_size(size: object) -> int:
    if size is None:
        return DEFAULT_SIZE
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIZE:
        raise WrongValueError(
            f"size={size!r} is no number of events", f"Give a number from 1 to {LARGEST_SIZE}."
        )
    return size


def _checked_by(by: By | None) -> By:
    if by is None:
        return "entity"
    if by not in {"entity", "project"} if isinstance(by, str) else not callable(by):
        raise WrongValueError(
            f"by={by!r} is neither a key nor a function",
            'Give "entity", "project", or a function of the event that returns a number or a text.',
        )
    return by


def _record_key(event: Event) -> str:
    return "" if event.entity_id is None else f"{event.entity_type} {event.entity_id}"


def _project_key(event: Event) -> str:
    return "" if event.project_id is None else f"Project {event.project_id}"


def _text_of(value: Any) -> str:
    """Return what a plugin's function returned as text; equal values give the same text."""
    if isinstance(value, Coroutine):
        value.close()
        raise TypeError("by returned a coroutine. Give a plain function: nothing awaits its result")
    if isinstance(value, dict) and "type" in value and "id" in value:  # a link, whatever its name
        value = {"type": value["type"], "id": value["id"]}
    try:
        return json.dumps(value, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"by returned {value!r:.100}, which cannot be the key of a batch ({error}). "
            "Return a number, a text, a link or a tuple of these"
        ) from None
