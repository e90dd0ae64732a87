"""Loading the enabled plugins: importing, checking and registering them, one by one.

Whatever a plugin does while it is loaded only affects itself: it is reported as broken and not
registered, and the others are loaded.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sgevents_core.errors import (
    LoadTimeoutError,
    PluginError,
    PluginRaisedError,
    PluginSettingsError,
    UnusablePluginError,
)
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.fingerprints import fingerprint_of
from sgevents_core.plugins.guarding import run_guarded
from sgevents_core.plugins.implementing import (
    Registry,
    event_callbacks,
    login_warnings,
    other_hooks,
    pattern_warnings,
    unused_warnings,
)
from sgevents_core.plugins.likely_mistakes import (
    classic_warnings,
    never_changed_warnings,
    unmarked_match_warnings,
)
from sgevents_core.plugins.load_watching import KnownBroken, LoadingTurn, PluginWatch, watch_loading
from sgevents_core.plugins.members import Implementation
from sgevents_core.plugins.memory_warnings import memory_warnings
from sgevents_core.plugins.model_schema import schema_of
from sgevents_core.plugins.ordering import call_order
from sgevents_core.plugins.own_settings import own_settings, settings_model_of
from sgevents_core.plugins.plugin_status import (
    PluginStatus,
    Unusable,
    choose_entry_point,
    incompatibility,
)
from sgevents_core.plugins.process_state import change_warnings
from sgevents_core.plugins.registrar import CallbackRegistrar
from sgevents_core.settings.classic_listing import file_order
from sgevents_core.settings.model import DEFAULT_GROUP, DEFAULT_LANE
from sgevents_core.settings.spelling import dotted_key
from sgevents_core.settings.value_kinds import Schema

if TYPE_CHECKING:
    from sgevents_core.plugins.callback import Callback
    from sgevents_core.plugins.discovery import Discovery, FoundPlugin
    from sgevents_core.settings import PluginSettings, Settings

LEFT_OUT: Final = "it is left out of this run"
"""The reason for a plugin that is enabled but left out of this run."""


@dataclass(frozen=True, kw_only=True)
class LoadedPlugin:
    """A plugin that is imported, checked and registered."""

    name: str
    group: str
    lane: str
    distribution: str
    version: str | None
    plugin: object
    """The module or instance that its entry point names."""
    callbacks: tuple[Callback, ...]
    """In registration order."""
    hooks: Mapping[str, Callable[..., Any]]
    """The other hooks it implements; each takes all of the hook's arguments, by position."""
    settings: Any = dataclass_field(default_factory=lambda: MappingProxyType({}), repr=False)
    """Its own settings: an instance of its `settings_model`, or a read-only mapping."""
    model: Any = None
    """The result of its `settings_model`; None if it has no such hook."""
    warnings: tuple[str, ...] = ()
    """Warnings about likely mistakes in it."""
    turn: LoadingTurn | None = dataclass_field(default=None, repr=False)
    """How to watch its code outside callbacks."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The result of loading: all plugins that are installed or configured."""

    plugins: tuple[LoadedPlugin, ...]
    """The loaded plugins, in call order."""
    statuses: tuple[PluginStatus, ...]
    """The enabled plugins, in call order, then all others by name."""
    registry: Registry = dataclass_field(repr=False)

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        """All callbacks, in call order."""
        return tuple(callback for plugin in self.plugins for callback in plugin.callbacks)


class LoadedElsewhere(NamedTuple):
    """A plugin that a worker process has loaded, without its code, and its status."""

    plugin: LoadedPlugin | None
    status: PluginStatus


def load(
    settings: Settings,
    discovery: Discovery,
    *,
    strict: bool = False,
    without: Container[str] = (),
    watch: PluginWatch | None = None,
    elsewhere: Mapping[str, LoadedElsewhere] = MappingProxyType({}),
) -> Loaded:
    """Load the plugins that `settings` enables, in call order; import no others.

    Args:
        settings: The configuration.
        discovery: The installed plugins.
        strict: Whether every enabled plugin must load.
        without: Plugins to leave out, as if they were not enabled.
        watch: Watches the plugins' code; by default it is not watched.
        elsewhere: Plugins that are not imported here, because worker processes have them.

    Raises:
        PluginError: `strict`, and enabled plugins cannot be used; the error names all of them.
    """
    tables, registry = settings.plugins, Registry()
    redact = Redactor.of(settings)
    groups = {
        name: table.group or DEFAULT_GROUP
        for name, table in tables.items()
        if table.enabled and name not in without
    }
    plugins, statuses = [], []
    listed_groups = [group.name for group in settings.groups]
    for name in call_order(listed_groups, groups, file_order(settings)):
        outcome, status = elsewhere.get(name) or _load_one(
            name, settings, discovery, registry, watch or PluginWatch()
        )
        if outcome is not None:
            plugins.append(outcome)
            status = replace(status, order=len(plugins))
        elif status.traceback:
            gc.collect()  # its objects, which may fill the memory, end with the exception
        statuses.append(_redacted(status, redact))
    if strict:
        _refuse_unusable(statuses)
    others = sorted({*discovery.names, *tables} - set(groups))
    statuses += [_status_of_disabled(name, settings, discovery) for name in others]
    return Loaded(plugins=tuple(plugins), statuses=tuple(statuses), registry=registry)


def statuses_unconfigured(discovery: Discovery) -> tuple[PluginStatus, ...]:
    """Return the status of all installed plugins when no configuration enables any."""
    return tuple(_disabled(name, None, discovery) for name in discovery.names)


def described_models(
    settings: Settings, discovery: Discovery, watch: PluginWatch
) -> Iterator[tuple[str, tuple[Schema, dict[str, Schema]] | str]]:
    """Yield the plugins with a settings model: its schema and parts, or why there is no schema.

    Only enabled plugins are imported; one that cannot be imported is left out.
    """
    for name, table in settings.plugins.items():
        found = choose_entry_point(name, table, discovery) if table.enabled else None
        if found is None or isinstance(found, Unusable) or incompatibility(found, table):
            continue
        turn = turn_of(found, table)
        known = watch.find_known_broken(name, turn.fingerprint)
        if known is not None and not known.hook:
            yield name, known.reason
            continue
        with watch_loading(watch, turn):
            try:
                imported = found.source.import_plugin(found)
                model = settings_model_of(other_hooks(imported.members.implementations))
            except UnusablePluginError:
                continue
            if model is not None:
                yield name, _described(name, model)


def _described(plugin: str, model: Any) -> tuple[Schema, dict[str, Schema]] | str:
    try:
        return run_guarded("describing its settings", lambda: schema_of(plugin, model))
    except PluginRaisedError as raised:  # a type of the plugin's own that no schema describes
        return raised.error


def turn_of(found: FoundPlugin, table: PluginSettings) -> LoadingTurn:
    """Return the turn for one plugin's loading: its name, time limit and fingerprint."""
    return LoadingTurn(found.name, table.load_timeout, fingerprint_of(found, table))


def _load_one(
    name: str, settings: Settings, discovery: Discovery, registry: Registry, watch: PluginWatch
) -> tuple[LoadedPlugin | None, PluginStatus]:
    table = settings.plugins[name]
    found = choose_entry_point(name, table, discovery)
    if isinstance(found, Unusable):
        return None, _status(name, settings, found)
    trouble = incompatibility(found, table)
    if trouble is not None:
        return None, _status(name, settings, trouble, found)
    turn = turn_of(found, table)
    known = watch.find_known_broken(name, turn.fingerprint)
    if known is not None and not known.hook:
        broken = Unusable(status="broken", reason=known.reason, fix=known.fix)
        return None, replace(_status(name, settings, broken, found), traceback=known.traceback)
    changed: list[str] = []
    try:
        with watch_loading(watch, turn) as changed:
            loaded = _loaded(found, settings, registry)
    except UnusablePluginError as fault:
        status = _status_of_broken(fault, name, settings, found)
        return None, replace(status, warnings=tuple(change_warnings(changed)))
    loaded = replace(loaded, turn=turn, warnings=(*loaded.warnings, *change_warnings(changed)))
    if known is not None:
        loaded = _without_hook(loaded, known)
    enabled = _status(name, settings, Unusable(status="enabled", reason="", fix=""), found)
    return loaded, replace(enabled, callbacks=len(loaded.callbacks), warnings=loaded.warnings)


def _status_of_broken(
    fault: UnusablePluginError, name: str, settings: Settings, found: FoundPlugin
) -> PluginStatus:
    broken = Unusable(status="broken", reason=fault.reason, fix=fault.fix)
    problems = fault.problems if isinstance(fault, PluginSettingsError) else ()
    trace = fault.trace if isinstance(fault, LoadTimeoutError | PluginRaisedError) else ""
    return replace(_status(name, settings, broken, found), traceback=trace, problems=problems)


def _without_hook(loaded: LoadedPlugin, known: KnownBroken) -> LoadedPlugin:
    """Return a plugin without its hook in which the process died."""
    hooks = {name: hook for name, hook in loaded.hooks.items() if name != known.hook}
    warning = f"its {known.hook} is not called: {known.reason}. {known.fix}"
    return replace(loaded, hooks=hooks, warnings=(*loaded.warnings, warning))


def _loaded(found: FoundPlugin, settings: Settings, registry: Registry) -> LoadedPlugin:
    """Import, check and register one plugin, or raise UnusablePluginError and register nothing."""
    plugin, members = found.source.import_plugin(found)
    table = settings.plugins[found.name]
    callbacks = event_callbacks(found.name, members.implementations)
    hooks = other_hooks(members.implementations)
    model = settings_model_of(hooks)
    own = own_settings(found.name, model, settings)
    registrar = CallbackRegistrar(found.name, own, [c.name for c in callbacks])
    if "register_callbacks" in hooks:
        step_name = _registering_function(members.implementations)
        run_guarded(step_name, lambda: hooks["register_callbacks"](registrar))
    registrar.close()
    registry.add(found.name, callbacks, members.implementations)
    callbacks += registrar.callbacks
    for callback in callbacks:
        if callback.credentials is not None:
            settings.learned_secrets.add_text(callback.credentials.api_key.reveal())
    if table.ignore_own:
        callbacks = [_ignoring(callback, table.script_name) for callback in callbacks]
    group, lane = group_and_lane(table, settings)
    return LoadedPlugin(
        name=found.name,
        group=group,
        lane=lane,
        distribution=found.distribution,
        version=found.version,
        plugin=plugin,
        callbacks=tuple(callbacks),
        hooks=hooks,
        settings=own,
        model=model,
        warnings=(
            *members.warnings,
            *registrar.warnings,
            *unused_warnings(callbacks, hooks),
            *never_changed_warnings(callbacks),
            *unmarked_match_warnings(plugin, registrar.registered_functions),
            *classic_warnings(plugin, members.implementations),
            *pattern_warnings(callbacks),
            *login_warnings(callbacks, settings.feed.fields),
            *memory_warnings(plugin, registrar.args_given_to, table, settings.lanes.get(lane)),
        ),
    )


def _registering_function(implementations: Sequence[Implementation]) -> str:
    """Return the name, in the plugin, of its function that registers callbacks."""
    return next(one.attribute for one in implementations if one.hook == "register_callbacks")


def _ignoring(callback: Callback, script: str | None) -> Callback:
    """Return the callback, ignoring events caused by its script: its own, or the plugin's."""
    own_script = callback.credentials.script_name if callback.credentials else script
    return replace(callback, match=replace(callback.match, not_script=own_script))


def _redacted(status: PluginStatus, redact: Redactor) -> PluginStatus:
    """Return a status without secrets: an error of a plugin may quote its settings."""
    return replace(
        status,
        reason=redact(status.reason),
        fix=redact(status.fix),
        traceback=redact(status.traceback),
        problems=tuple(
            one._replace(message=redact(one.message), fix=redact(one.fix))
            for one in status.problems
        ),
    )


def _refuse_unusable(statuses: Sequence[PluginStatus]) -> None:
    unusable = [status for status in statuses if status.status != "enabled"]
    if unusable:
        raise PluginError(
            count="1 plugin" if len(unusable) == 1 else f"{len(unusable)} plugins",
            listing="\n".join(
                f"{status.name}: {status.status}: {status.reason}\n    fix: {status.fix}"
                for status in unusable
            ),
        )


def _status_of_disabled(name: str, settings: Settings, discovery: Discovery) -> PluginStatus:
    table = settings.plugins.get(name)
    status = _disabled(name, table, discovery)
    if table is None:
        return status
    group, lane = group_and_lane(table, settings)
    return replace(status, group=group, lane=lane)


def _disabled(name: str, table: PluginSettings | None, discovery: Discovery) -> PluginStatus:
    """Return the status of a disabled plugin, with the reason that would keep it from loading."""
    found = choose_entry_point(name, table, discovery)
    if isinstance(found, Unusable):
        is_conflict = found.status == "conflict"
        return PluginStatus(
            name=name,
            status="conflict" if is_conflict else "disabled",
            reason=found.reason,
            fix=found.fix,
        )
    trouble = incompatibility(found, table)
    idle = "it is not enabled"
    fix = f"To enable it: enabled = true in [{dotted_key(('plugins', name))}]."
    if table is not None and table.enabled:
        idle, fix = LEFT_OUT, "Start without --disable and --safe-mode."
    return PluginStatus(
        name=name,
        status="disabled",
        reason=f"{idle}, and {trouble.reason}" if trouble else idle,
        fix=trouble.fix if trouble else fix,
        distribution=found.distribution,
        version=found.version,
    )


def _status(
    name: str, settings: Settings, trouble: Unusable, found: FoundPlugin | None = None
) -> PluginStatus:
    group, lane = group_and_lane(settings.plugins[name], settings)
    return PluginStatus(
        name=name,
        status=trouble.status,
        reason=trouble.reason,
        fix=trouble.fix,
        distribution=found.distribution if found else None,
        version=found.version if found else None,
        group=group,
        lane=lane,
    )


def in_call_order(plugins: Sequence[LoadedPlugin], settings: Settings) -> list[LoadedPlugin]:
    """Return plugins in the order in which they are called."""
    by_name = {plugin.name: plugin for plugin in plugins}
    groups = {plugin.name: plugin.group for plugin in plugins}
    listed_groups = [group.name for group in settings.groups]
    return [by_name[name] for name in call_order(listed_groups, groups, file_order(settings))]


def group_and_lane(table: PluginSettings, settings: Settings) -> tuple[str, str]:
    """Return the names of the group and the lane that a plugin's table puts it into."""
    group = table.group or DEFAULT_GROUP
    lanes = {listed.name: listed.lane for listed in reversed(settings.groups)}
    return group, lanes.get(group) or DEFAULT_LANE
