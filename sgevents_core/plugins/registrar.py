"""The registrar passed to a plugin's `register_callbacks`; see `protocols.Registrar`."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

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
    checked_on_error,
    checked_timeout,
    made_match,
    refuse_unknown,
)
from sgevents_core.markers import Matched, matched_of
from sgevents_core.plugins.callback import Callback, callback_name, place_of, short_place_of
from sgevents_core.plugins.signatures import (
    positional_adapter,
    refuse_what_runs_nothing,
    takes_args,
)

_TAKES: Final = "It is called with as many of (event, ctx, args) as it takes, by position."


def plugin_logger(plugin: str) -> logging.Logger:
    """Return the logger of the plugin called `plugin`."""
    return logging.getLogger(f"sgevents.plugin.{plugin}")


class CallbackRegistrar:
    """The callbacks that one plugin registers in code, after those it implements."""

    def __init__(self, plugin: str, settings: Any, taken: Collection[str] = ()) -> None:
        """Start with no callbacks.

        Args:
            plugin: The plugin's name.
            settings: The plugin's own settings: an instance of its model, or a mapping.
            taken: The names of the plugin's other callbacks.
        """
        self.plugin: Final = plugin
        is_mapping = isinstance(settings, Mapping)
        self.settings: Final[Any] = MappingProxyType(dict(settings)) if is_mapping else settings
        self.logger: Final = plugin_logger(plugin)
        self.callbacks: Final[list[Callback]] = []
        self.warnings: Final[list[str]] = []
        self._taken = set(taken)
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
        timeout: str | float | None = None,
        name: str | None = None,
        **unknown: NoReturn,
    ) -> str:
        """Register `callback`; see `protocols.Registrar.register`."""
        caller = sys._getframe(1)
        here = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._refuse_when_closed(here)
        _refuse_no_callable(callback, here)
        try:
            refuse_unknown(unknown, ("args", "on_error", "timeout", "name"))
            wanted = made_match(
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
            given = Matched(wanted, checked_on_error(on_error), checked_timeout(timeout))
        except WrongValueError as wrong:
            raise RegistrationError(
                where=here, problem=wrong.problem, advice=wrong.advice
            ) from None
        return self._add(callback, _combined(callback, given, here), args, name, here)

    def _refuse_when_closed(self, here: str) -> None:
        if not self._is_open:
            raise RegistrationError(
                where=here,
                problem="the registrar is closed",
                advice="Register in register_callbacks, before it returns.",
            )

    def _add(
        self,
        callback: Callable[..., object],
        matched: Matched,
        args: object,
        name: str | None,
        here: str,
    ) -> str:
        function = positional_adapter(callback, args)
        if function is None:
            raise RegistrationError(
                where=here, problem=f"{callback!r} cannot be called so", advice=_TAKES
            )
        if args is not ... and not takes_args(callback):
            self.warnings.append(f"{here}: args is given, and {callback!r} does not take it")
        chosen = self._free_name(callback, name, here)
        self._taken.add(chosen)
        self.callbacks.append(
            Callback(
                plugin=self.plugin,
                name=chosen,
                hook=None,
                match=matched.match,
                function=function,
                on_error=matched.on_error,
                timeout=matched.timeout,
                where=short_place_of(callback),
            )
        )
        return chosen

    def _free_name(self, callback: object, name: str | None, here: str) -> str:
        if name is None:
            return callback_name(callback, self._taken)
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise RegistrationError(
                where=here,
                problem=f"name={name!r} is not a valid name",
                advice="Give a short text.",
            )
        if name in self._taken:
            raise RegistrationError(
                where=here,
                problem=f"the plugin has a callback called {name!r} already",
                advice="Give each callback a name of its own.",
            )
        return name


def _refuse_no_callable(callback: object, here: str) -> None:
    if inspect.isclass(callback):
        raise RegistrationError(
            where=here,
            problem=f"{callback.__qualname__} is a class: calling it makes an instance",
            advice=f"Register an instance: {callback.__qualname__}(...).",
        )
    if not callable(callback):
        raise RegistrationError(where=here, problem=f"{callback!r} cannot be called", advice=_TAKES)
    refuse_what_runs_nothing(callback)


def _combined(callback: object, given: Matched, here: str) -> Matched:
    """Return `given`, or what `@match` left on `callback` if `given` says nothing."""
    marked = matched_of(callback)
    if marked is None:
        return given
    if given != Matched(Match()):
        raise RegistrationError(
            where=here,
            problem=f"{place_of(callback)} has a @match, and register(...) narrows it again",
            advice="Put all conditions in one place.",
        )
    return marked
