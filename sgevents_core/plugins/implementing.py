"""Turn a plugin's functions into callbacks and other hooks, and register them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import pluggy

from sgevents_core import hookspecs
from sgevents_core.errors import HookTwiceError
from sgevents_core.hookspecs import EVENT_HOOKS, EVERY_HOOK, hook_arguments, hook_of
from sgevents_core.observe.event_loops import running_in_loop
from sgevents_core.origin import LOGIN
from sgevents_core.plugins.callback import (
    Callback,
    callback_name,
    short_source_place,
    source_place_of,
)
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.members import Implementation
from sgevents_core.plugins.signatures import (
    Function,
    event_adapter,
    hook_adapter,
    is_async_function,
    require_events,
    require_no_generator,
    require_plain_function,
    wanted_arguments,
)

PLUGGY_PROJECT: Final = "sgevents"
_REGEX_CHARACTERS: Final = frozenset("^$?+|\\[](){}")


class Registry(pluggy.PluginManager):
    """pluggy's manager with our hooks; it checks and registers plugins but does not call them."""

    def __init__(self) -> None:
        super().__init__(PLUGGY_PROJECT)
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Return pluggy's options for the function `name`, which is registered as `HOOK NUMBER`."""
        is_hook = isinstance(plugin, _Functions) and name in vars(plugin)
        return {"specname": name.partition(" ")[0]} if is_hook else None

    def add(
        self, plugin: str, callbacks: Sequence[Callback], implementations: Sequence[Implementation]
    ) -> None:
        """Register a plugin's event callbacks and its other hooks, all or none.

        Raises:
            PluginRaisedError: pluggy refused one.
        """
        functions = [(callback.hook or "", callback.function) for callback in callbacks]
        other_functions = [
            (implementation.hook, implementation.function)
            for implementation in implementations
            if implementation.hook not in EVENT_HOOKS
        ]
        try:
            run_guarded(
                "checking its hooks",
                lambda: self.register(_Functions([*functions, *other_functions]), plugin),
            )
        except BaseException:
            if self.has_plugin(plugin):
                self.unregister(name=plugin)
            raise


class _Functions:
    """A plugin as pluggy sees it: only the functions that implement hooks.

    So pluggy evaluates no property of the plugin and never uses a plugin's own `==`.
    """

    def __init__(self, functions: Sequence[tuple[str, Function]]) -> None:
        vars(self).update(
            {f"{hook} {number}": function for number, (hook, function) in enumerate(functions)}
        )


def event_callbacks(plugin: str, implementations: Sequence[Implementation]) -> list[Callback]:
    """Return the callbacks that `plugin` implements, in order.

    Raises:
        UnusablePluginError: One of them cannot be called.
    """
    callbacks: dict[str, Callback] = {}
    for implementation in implementations:
        if implementation.hook in EVENT_HOOKS:
            name = callback_name(implementation.function, callbacks)
            is_async = is_async_function(implementation.function)
            function = event_adapter(
                implementation.function,
                _argument_names(implementation),
                has_batches=implementation.matched.batch is not None,
            )
            callbacks[name] = Callback(
                plugin=plugin,
                name=name,
                hook=implementation.hook,
                match=implementation.matched.match,
                function=running_in_loop(function) if is_async else function,
                on_error=implementation.matched.on_error,
                timeout=implementation.matched.timeout,
                retry_on=implementation.matched.retry_on,
                max_attempts=implementation.matched.max_attempts,
                batch=implementation.matched.batch,
                where=short_source_place(implementation.function),
                is_async=is_async,
            )
    return list(callbacks.values())


def other_hooks(implementations: Sequence[Implementation]) -> dict[str, Function]:
    """Return the other hooks by name; each takes all of the hook's arguments, by position.

    Raises:
        UnusablePluginError: One of them cannot be called, or is implemented twice.
    """
    hook_functions: dict[str, Function] = {}
    for implementation in implementations:
        if implementation.hook in EVENT_HOOKS:
            continue
        if implementation.hook in hook_functions:
            raise HookTwiceError(
                where=source_place_of(implementation.function), hook=implementation.hook
            )
        known_arguments = hook_arguments()[implementation.hook]
        hook_functions[implementation.hook] = hook_adapter(
            implementation.function, _argument_names(implementation), known_arguments
        )
    return hook_functions


def unused_warnings(
    callbacks: Sequence[Callback], hook_functions: Mapping[str, object]
) -> list[str]:
    """Return warnings about a plugin without hooks, or a filter that nothing passes."""
    if not callbacks and not hook_functions:
        return ["it implements no hook, so it is never called; is @hookimpl missing?"]
    return [
        f"{callback.where}: {callback.name} is never called: no event of its hook {callback.hook} "
        f"is {' or '.join(callback.match.event_type)}"
        for callback in callbacks
        if _is_never_called(callback)
    ]


def pattern_warnings(callbacks: Sequence[Callback]) -> list[str]:
    """Return warnings about regular expressions in filters: they are compared literally."""
    return [
        f"{callback.where}: {callback.name}: {name}={pattern!r} looks like a regular expression; "
        "only * is special here, and stands for any characters"
        for callback in callbacks
        for name in ("event_type", "entity_type", "attribute")
        for pattern in getattr(callback.match, name)
        if ".*" in pattern or not _REGEX_CHARACTERS.isdisjoint(pattern)
    ]


def login_warnings(callbacks: Sequence[Callback], feed_fields: Collection[str]) -> list[str]:
    """Return warnings about filters that seem to use a login, which the feed does not read.

    Args:
        callbacks: The plugin's callbacks.
        feed_fields: The fields that the feed reads besides the usual ones.
    """
    if LOGIN in feed_fields:
        return []
    return [
        f"{callback.where}: user={user!r} is compared with names only, as logins are not read; "
        f'if it is a login, add fields = ["{LOGIN}"] to [feed]'
        for callback in callbacks
        for user in callback.match.user
        if isinstance(user, str) and " " not in user.strip()
    ]


def _is_never_called(callback: Callback) -> bool:
    event_types = callback.match.event_type
    if callback.hook in (None, EVERY_HOOK) or not event_types:
        return False
    return not any(
        "*" in wanted_type or hook_of(wanted_type) == callback.hook for wanted_type in event_types
    )


def _argument_names(implementation: Implementation) -> tuple[str, ...]:
    if implementation.hook in EVENT_HOOKS:
        require_no_generator(implementation.function)
    else:
        require_plain_function(implementation.function)
    known_arguments = hook_arguments()[implementation.hook]
    if implementation.hook in EVENT_HOOKS:
        known_arguments = require_events(
            implementation.function, has_batches=implementation.matched.batch is not None
        )
    return wanted_arguments(implementation.function, implementation.hook, known_arguments)
