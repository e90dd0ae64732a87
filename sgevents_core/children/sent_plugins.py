"""Loaded plugins as plain values, for a daemon that never imports their code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from sgevents_core.batching import BatchRules
from sgevents_core.children.messages import SentBatch, SentCallback, SentMatch, SentPlugin
from sgevents_core.classic.filters import ClassicMatch
from sgevents_core.errors import InternalError
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.loading import LoadedPlugin

LOADING_HOOKS: Final = frozenset(
    {"settings_model", "register_callbacks", "register_commands", "failure_passes"}
)
"""Hooks that are called where a plugin is loaded, and never through the daemon."""


def sent_plugin(plugin: LoadedPlugin) -> SentPlugin:
    """Return a plugin without its code; in the process that has loaded it."""
    return SentPlugin(
        name=plugin.name,
        group=plugin.group,
        lane=plugin.lane,
        distribution=plugin.distribution,
        version=plugin.version,
        callbacks=[_sent_callback(callback) for callback in plugin.callbacks],
        hooks=[name for name in plugin.hooks if name not in LOADING_HOOKS],
        warnings=list(plugin.warnings),
    )


def _sent_callback(callback: Callback) -> SentCallback:
    return SentCallback(
        name=callback.name,
        hook=callback.hook,
        match=_sent_match(callback.match),
        on_error=callback.on_error,
        timeout=callback.timeout,
        where=callback.where,
        is_async=callback.is_async,
        max_attempts=callback.max_attempts,
        batch=None if callback.batch is None else _sent_batch(callback.batch),
    )


def _sent_match(match: Match) -> SentMatch:
    return SentMatch(
        event_type=match.event_type,
        entity_type=match.entity_type,
        attribute=match.attribute,
        project=match.project,
        user=match.user,
        script=match.script,
        in_create=match.in_create,
        not_script=match.not_script,
        by_type=dict(match.by_type) if isinstance(match, ClassicMatch) else None,
        asks=match.where is not None or bool(match.old_value or match.new_value),
    )


def received_plugin(sent: SentPlugin, call_hook: Callable[..., object]) -> LoadedPlugin:
    """Return a plugin whose code is in a worker process.

    Args:
        sent: The plugin as it was sent.
        call_hook: Called with the plugin's and the hook's name and the hook's arguments.
    """
    return LoadedPlugin(
        name=sent.name,
        group=sent.group,
        lane=sent.lane,
        distribution=sent.distribution,
        version=sent.version,
        plugin=None,
        callbacks=tuple(_received_callback(sent.name, callback) for callback in sent.callbacks),
        hooks={hook: _hook(call_hook, sent.name, hook) for hook in sent.hooks},
        warnings=tuple(sent.warnings),
    )


def _received_callback(plugin: str, sent: SentCallback) -> Callback:
    return Callback(
        plugin=plugin,
        name=sent.name,
        hook=sent.hook,
        match=_received_match(sent.match),
        function=_called_here,
        on_error=sent.on_error,
        timeout=sent.timeout,
        where=sent.where,
        is_async=sent.is_async,
        max_attempts=sent.max_attempts,
        batch=None if sent.batch is None else _received_batch(sent.batch),
    )


def _received_match(sent: SentMatch) -> Match:
    if sent.by_type is not None:
        return ClassicMatch(not_script=sent.not_script, by_type=sent.by_type)
    return Match(
        event_type=sent.event_type,
        entity_type=sent.entity_type,
        attribute=sent.attribute,
        project=sent.project,
        user=sent.user,
        script=sent.script,
        in_create=sent.in_create,
        not_script=sent.not_script,
        where=_asked_here if sent.asks else None,
    )


def _sent_batch(batch: BatchRules) -> SentBatch:
    by = None if callable(batch.by) else batch.by
    return SentBatch(pause=batch.pause, at_most=batch.at_most, size=batch.size, by=by)


def _received_batch(sent: SentBatch) -> BatchRules:
    return BatchRules(sent.pause, sent.at_most, sent.size, sent.by or _asked_here)


def _hook(call_hook: Callable[..., object], plugin: str, hook: str) -> Callable[..., object]:
    def call(*arguments: Any) -> object:
        return call_hook(plugin, hook, *arguments)

    return call


def _called_here(event: Event, context: object) -> NoReturn:
    raise InternalError(where="a callback of a worker process", reason="it was called elsewhere")


def _asked_here(event: Event) -> NoReturn:
    raise InternalError(where="a filter of a worker process", reason="it was asked elsewhere")
