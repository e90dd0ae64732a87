"""The marks that a plugin attaches to its functions: `hookimpl` and `match`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import pluggy

from sgevents_core.batching import BatchRules, By, Duration, checked_batch
from sgevents_core.call_options import (
    OPTIONS,
    RetryOn,
    checked_max_attempts,
    checked_on_error,
    checked_retry_on,
    checked_timeout,
)
from sgevents_core.choices import OnError
from sgevents_core.errors import MatchError
from sgevents_core.filters import (
    Match,
    Project,
    Texts,
    User,
    Values,
    Where,
    WrongValueError,
    made_match,
    refuse_unknown,
)

__all__ = ["Match", "Matched", "hookimpl", "match", "matched_of"]

hookimpl: Final = pluggy.HookimplMarker("sgevents")
"""Marks a function or method as the implementation of the hook of the same name.

`@hookimpl(specname="on_new")` implements `on_new` under another name, so that a plugin can have
several functions for one hook.
"""

_MATCH_ATTRIBUTE: Final = "sgevents_match"
_Function = TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Matched:
    """What `match` attaches to a function."""

    match: Match
    on_error: OnError | None = None
    timeout: float | None = None
    """In seconds."""
    retry_on: tuple[type[BaseException], ...] = ()
    max_attempts: int | None = None
    batch: BatchRules | None = None


def match(
    *by_position: NoReturn,
    event_type: Texts = None,
    entity_type: Texts = None,
    attribute: Texts = None,
    project: Project | Collection[Project] | None = None,
    user: User | Collection[User] | None = None,
    script: Texts = None,
    in_create: bool | None = None,
    old_value: Values = ...,
    new_value: Values = ...,
    where: Where | None = None,
    on_error: OnError | None = None,
    timeout: Duration | None = None,
    retry_on: RetryOn | None = None,
    max_attempts: int | None = None,
    batch: Duration | None = None,
    by: By | None = None,
    at_most: Duration | None = None,
    size: int | None = None,
    **unknown: NoReturn,
) -> Callable[[_Function], _Function]:
    """Narrow a hook implementation to some events; goes above or below `@hookimpl`.

    Every condition given has to hold. A list, tuple or set holds if any of its members does. The
    function itself does not change, so it can be called and tested as before.

    Args:
        by_position: Refused: conditions are given by name.
        event_type: Types such as `"Shotgun_Task_*"`; `*` stands for any characters.
        entity_type: Types of record such as `"Shot"`, for a retired record too. Accepts `*`.
        attribute: Fields such as `"sg_status_list"`. Accepts `*`.
        project: Projects by id or name.
        user: People who did it, by id, login or name. Logins are compared if `[feed] fields` has
            `"user.HumanUser.login"`.
        script: Names of scripts that did it, also as another user (sudo). Accepts `*`.
        in_create: Whether the value was set while the record was created.
        old_value: Old values. An entity is compared by type and id; for a multi-entity field it has
            to be among those removed.
        new_value: New values; for a multi-entity field, among those added.
        where: Called last, with the event; the event is wanted if it returns something true. If it
            raises, that counts as the callback raising.
        on_error: `"dead-letter"`, `"pause"` or `"skip"`, for this callback instead of the plugin's.
        timeout: How long it may take: seconds, text such as `"30s"`, or a timedelta. After that its
            plugin waits for it, and the others continue. Without it, `timeout` of the plugin or its
            lane applies.
        retry_on: Classes of errors that pass by themselves: a call that raises one of them, or
            raises from one of them, is made again.
        max_attempts: The most calls for one event, instead of the plugin's `max_attempts`.
        batch: The callback takes `events` instead of `event`, and gets those of one key together
            once they pause for this long: seconds, text such as `"2s"`, or a timedelta.
        by: What events of one batch have in common: their `"entity"` (the default), their
            `"project"`, or the result of this function of the event.
        at_most: How long the first event of a batch waits at most; 30 seconds by default.
        size: The most events in a batch; 100 by default.
        unknown: Refused, with a suggestion.

    Raises:
        MatchError: An argument or value is wrong, or the function has a `@match` already.
    """
    caller_frame = sys._getframe(1)
    source_line = f"{caller_frame.f_code.co_filename}:{caller_frame.f_lineno}"
    try:
        _refuse_positions(by_position)
        refuse_unknown(unknown, OPTIONS)
        event_match = made_match(
            event_type=event_type,
            entity_type=entity_type,
            attribute=attribute,
            project=project,
            user=user,
            script=script,
            in_create=in_create,
            old_value=old_value,
            new_value=new_value,
            where=where,
        )
        matched = Matched(
            event_match,
            checked_on_error(on_error),
            checked_timeout(timeout),
            checked_retry_on(retry_on),
            checked_max_attempts(max_attempts),
            checked_batch(batch, by, at_most, size),
        )
    except WrongValueError as wrong_value:
        raise MatchError(
            where=source_line, problem=wrong_value.problem, advice=wrong_value.advice
        ) from None
    return _marking_decorator(matched, source_line)


def _refuse_positions(by_position: tuple[object, ...]) -> None:
    """Raise WrongValueError if `match` was given anything by position."""
    if not by_position:
        return
    if callable(by_position[0]) and not isinstance(by_position[0], type):
        raise WrongValueError(
            "it needs parentheses and conditions", 'Write @match(entity_type="Shot").'
        )
    raise WrongValueError(
        f"{by_position[0]!r} is given without the name of a condition",
        f"Write, for example, @match(entity_type={by_position[0]!r}).",
    )


def matched_of(function: object) -> Matched | None:
    """Return what `match` attached to `function`, or to the function inside a method; or None."""
    for mark_holder in (function, getattr(function, "__func__", None)):
        attached_match = getattr(mark_holder, "__dict__", {}).get(_MATCH_ATTRIBUTE)
        if isinstance(attached_match, Matched):
            return attached_match
    return None


def _marking_decorator(matched: Matched, source_line: str) -> Callable[[_Function], _Function]:
    def attach_match(function: _Function) -> _Function:
        if matched_of(function) is not None:
            raise MatchError(
                where=source_line,
                problem=f"{getattr(function, '__qualname__', function)} has a second one",
                advice="Put all conditions into one @match; for either-or write two functions.",
            )
        setattr(function, _MATCH_ATTRIBUTE, matched)
        return function

    return attach_match
