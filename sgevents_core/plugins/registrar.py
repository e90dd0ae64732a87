"""The registrar passed to a plugin's `register_callbacks`; see `protocols.Registrar`."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

from sgevents_core.batching import By, Duration, checked_batch
from sgevents_core.call_options import (
    OPTIONS,
    RetryOn,
    checked_max_attempts,
    checked_on_error,
    checked_retry_on,
    checked_timeout,
)
from sgevents_core.choices import OnError
from sgevents_core.errors import RegistrationError
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
from sgevents_core.markers import Matched, matched_of
from sgevents_core.observe.event_loops import running_in_loop
from sgevents_core.plugins.callback import (
    Callback,
    Credentials,
    callback_name,
    short_source_place,
    source_place_of,
)
from sgevents_core.plugins.signatures import (
    is_async_function,
    positional_adapter,
    require_no_generator,
    takes_args,
)

_SIGNATURE_ADVICE: Final = (
    "It is called with as many of (event, ctx, args) as it takes, by position."
)


def plugin_logger(plugin: str) -> logging.Logger:
    """Return the logger of the plugin called `plugin`."""
    return logging.getLogger(f"sgevents.plugin.{plugin}")


class CallbackRegistrar:
    """The callbacks that one plugin registers in code, after those it implements."""

    def __init__(self, plugin: str, settings: Any, taken_names: Collection[str] = ()) -> None:
        """Start with no callbacks.

        Args:
            plugin: The plugin's name.
            settings: The plugin's own settings: an instance of its model, or a mapping.
            taken_names: The names of the plugin's other callbacks.
        """
        self.plugin: Final = plugin
        is_mapping = isinstance(settings, Mapping)
        self.settings: Final[Any] = MappingProxyType(dict(settings)) if is_mapping else settings
        self.logger: Final = plugin_logger(plugin)
        self.callbacks: Final[list[Callback]] = []
        self.warnings: Final[list[str]] = []
        self.args_given_to: Final[list[str]] = []
        self.registered_functions: Final[list[object]] = []
        self._taken_names = set(taken_names)
        self._is_open = True

    def close(self) -> None:
        """Refuse further registrations."""
        self._is_open = False

    def register(
        self,
        callback: Callable[..., object],
        *,
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
        args: object = ...,
        on_error: OnError | None = None,
        timeout: Duration | None = None,
        retry_on: RetryOn | None = None,
        max_attempts: int | None = None,
        batch: Duration | None = None,
        by: By | None = None,
        at_most: Duration | None = None,
        size: int | None = None,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> str:
        """Register `callback`; see `protocols.Registrar.register`."""
        caller_frame = sys._getframe(1)
        source_line = f"{caller_frame.f_code.co_filename}:{caller_frame.f_lineno}"
        self._require_open(source_line)
        _require_callable(callback, source_line)
        try:
            refuse_unknown(unknown, ("args", *OPTIONS, "name"))
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
            given_match = Matched(
                event_match,
                checked_on_error(on_error),
                checked_timeout(timeout),
                checked_retry_on(retry_on),
                checked_max_attempts(max_attempts),
                checked_batch(batch, by, at_most, size),
            )
        except WrongValueError as wrong_value:
            raise RegistrationError(
                where=source_line, problem=wrong_value.problem, advice=wrong_value.advice
            ) from None
        matched = _combine_matches(callback, given_match, source_line)
        return self.add_callback(callback, matched, args=args, name=name, source_line=source_line)

    def _require_open(self, source_line: str) -> None:
        if not self._is_open:
            raise RegistrationError(
                where=source_line,
                problem="the registrar is closed",
                advice="Register in register_callbacks, before it returns.",
            )

    def add_callback(
        self,
        callback: Callable[..., object],
        matched_events: Matched,
        *,
        args: object = ...,
        name: str | None = None,
        source_line: str,
        shown_place: str | None = None,
        credentials: Credentials | None = None,
    ) -> str:
        """Add a callback; for sources of plugins, whose callbacks may have their own credentials.

        Args:
            callback: The function, called with as many of (event, ctx, args) as it takes.
            matched_events: Its filter, failure policy and time limit.
            args: The value passed to it as `args`; not passed by default.
            name: Its name; by default `module:qualname`.
            source_line: Where it is registered, for errors.
            shown_place: Where it is defined, for people; by default, where the function is.
            credentials: The credentials of its `ctx.sg`; None for the plugin's credentials.

        Returns:
            Its name, unique within the plugin.

        Raises:
            RegistrationError: It does not accept these arguments, or its name cannot be used.
        """
        self._require_open(source_line)
        function = positional_adapter(callback, args, has_batches=matched_events.batch is not None)
        if function is None:
            raise RegistrationError(
                where=source_line,
                problem=f"{callback!r} cannot be called so",
                advice=_SIGNATURE_ADVICE,
            )
        if args is not ... and not takes_args(callback):
            self.warnings.append(f"{source_line}: args is given, and {callback!r} does not take it")
        is_async = is_async_function(callback)
        chosen_name = self._choose_name(callback, name, source_line)
        self.registered_functions.append(callback)
        self._taken_names.add(chosen_name)
        if args is not ... and args is not None:
            self.args_given_to.append(chosen_name)
        self.callbacks.append(
            Callback(
                plugin=self.plugin,
                name=chosen_name,
                hook=None,
                match=matched_events.match,
                function=running_in_loop(function) if is_async else function,
                on_error=matched_events.on_error,
                timeout=matched_events.timeout,
                retry_on=matched_events.retry_on,
                max_attempts=matched_events.max_attempts,
                batch=matched_events.batch,
                where=shown_place or short_source_place(callback),
                credentials=credentials,
                is_async=is_async,
            )
        )
        return chosen_name

    def _choose_name(self, callback: object, name: str | None, source_line: str) -> str:
        if name is None:
            return callback_name(callback, self._taken_names)
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise RegistrationError(
                where=source_line,
                problem=f"name={name!r} is not a valid name",
                advice="Give a short text.",
            )
        if name in self._taken_names:
            raise RegistrationError(
                where=source_line,
                problem=f"the plugin has a callback called {name!r} already",
                advice="Give each callback a name of its own.",
            )
        return name


def _require_callable(callback: object, source_line: str) -> None:
    if inspect.isclass(callback):
        raise RegistrationError(
            where=source_line,
            problem=f"{callback.__qualname__} is a class: calling it makes an instance",
            advice=f"Register an instance: {callback.__qualname__}(...).",
        )
    if not callable(callback):
        raise RegistrationError(
            where=source_line, problem=f"{callback!r} cannot be called", advice=_SIGNATURE_ADVICE
        )
    require_no_generator(callback)


def _combine_matches(callback: object, given_match: Matched, source_line: str) -> Matched:
    """Return `given_match`, or what `@match` left on `callback` if `given_match` says nothing."""
    attached_match = matched_of(callback)
    if attached_match is None:
        return given_match
    if given_match != Matched(Match()):
        raise RegistrationError(
            where=source_line,
            problem=f"{source_place_of(callback)} has a @match, and register(...) narrows it again",
            advice="Put all conditions in one place.",
        )
    return attached_match
