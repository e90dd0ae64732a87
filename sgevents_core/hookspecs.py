"""Every hook that a plugin can implement, with its arguments and what it promises.

An implementation names the arguments it wants, in any order, so a hook can gain arguments without
breaking any. The types of the arguments are in `protocols`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import pluggy

from sgevents_core.events import type_parts
from sgevents_core.protocols import (
    Attention,
    BacklogTimeout,
    CallbackFailure,
    Context,
    DeadLetter,
    PluginPause,
    Registrar,
)

if TYPE_CHECKING:
    import click

    from sgevents_core.events import Event

__all__ = [
    "APPLICATION_HOOKS",
    "EVENT_HOOKS",
    "EVERY_HOOK",
    "OTHER_HOOK",
    "RECORD_HOOKS",
    "Attention",
    "BacklogTimeout",
    "CallbackFailure",
    "Context",
    "DeadLetter",
    "PluginPause",
    "Registrar",
    "hook_arguments",
    "hook_of",
]

hookspec: Final = pluggy.HookspecMarker("sgevents")

RECORD_HOOKS: Final = {
    "New": "on_new",
    "Change": "on_change",
    "Retirement": "on_retirement",
    "Revival": "on_revival",
}
"""What happened to a record -> its hook."""

APPLICATION_HOOKS: Final = {
    "CRS_PlaylistShare_Create": "on_playlist_share_create",
    "CRS_PlaylistShare_Revoke": "on_playlist_share_revoke",
    "Shotgun_Attachment_View": "on_attachment_view",
    "Shotgun_Big_Query": "on_big_query",
    "Shotgun_DisplayColumn_Delete": "on_display_column_delete",
    "Shotgun_NotesApp_Summary_Email": "on_notes_app_summary_email",
    "Shotgun_User_FailedLogin": "on_user_failed_login",
    "Shotgun_User_Login": "on_user_login",
    "Shotgun_User_Logout": "on_user_logout",
    "Toolkit_Desktop_AppLaunch": "on_toolkit_desktop_app_launch",
    "Toolkit_Desktop_ProjectLaunch": "on_toolkit_desktop_project_launch",
}
"""Event type of application behaviour -> its hook."""

OTHER_HOOK: Final = "on_other"
EVERY_HOOK: Final = "on_event"
EVENT_HOOKS: Final = frozenset(
    {*RECORD_HOOKS.values(), *APPLICATION_HOOKS.values(), OTHER_HOOK, EVERY_HOOK}
)
"""The hooks that are called with an event; their implementations are callbacks."""


@lru_cache(maxsize=4096)
def hook_of(event_type: str) -> str:
    """Return the one hook, besides `on_event`, that fires for events of `event_type`."""
    parsed_type = type_parts(event_type)
    if parsed_type.entity_type is not None and parsed_type.action is not None:
        return RECORD_HOOKS[parsed_type.action]
    return APPLICATION_HOOKS.get(event_type, OTHER_HOOK)


@lru_cache(maxsize=1)
def hook_arguments() -> Mapping[str, tuple[str, ...]]:
    """Return every hook's name and the arguments it is called with, in order."""
    return {
        hook_name: tuple(inspect.signature(function).parameters)
        for hook_name, function in globals().items()
        if hasattr(function, "sgevents_spec")
    }


# A specification has no body: its docstring says what the hook promises.


@hookspec
def on_new(event: Event, ctx: Context) -> None:
    """Fires when a record was created: `Shotgun_<EntityType>_New`.

    Called in the worker of the plugin's lane, in call order: group, plugin name, place in the
    plugin. What it returns is ignored. If it raises, the failure is recorded and handled as the
    plugin's `on_error` says; the other plugins are not affected.
    """


@hookspec
def on_change(event: Event, ctx: Context) -> None:
    """Fires when a field of a record was changed: `Shotgun_<EntityType>_Change`.

    Thread, order, result and errors as for `on_new`. Fields set while a record is created are
    included, with `event.in_create`; marking something as read is `Shotgun_Reading_Change`.
    """


@hookspec
def on_retirement(event: Event, ctx: Context) -> None:
    """Fires when a record was deleted: `Shotgun_<EntityType>_Retirement`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_revival(event: Event, ctx: Context) -> None:
    """Fires when a deleted record was brought back: `Shotgun_<EntityType>_Revival`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_playlist_share_create(event: Event, ctx: Context) -> None:
    """Fires when a playlist was shared for client review: `CRS_PlaylistShare_Create`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_playlist_share_revoke(event: Event, ctx: Context) -> None:
    """Fires when the share of a playlist was revoked: `CRS_PlaylistShare_Revoke`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_attachment_view(event: Event, ctx: Context) -> None:
    """Fires when somebody viewed a file: `Shotgun_Attachment_View`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_big_query(event: Event, ctx: Context) -> None:
    """Fires when a query returned very many records: `Shotgun_Big_Query`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_display_column_delete(event: Event, ctx: Context) -> None:
    """Fires when a field was deleted from the schema: `Shotgun_DisplayColumn_Delete`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_notes_app_summary_email(event: Event, ctx: Context) -> None:
    """Fires when a summary of notes was mailed: `Shotgun_NotesApp_Summary_Email`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_user_failed_login(event: Event, ctx: Context) -> None:
    """Fires when a login was refused: `Shotgun_User_FailedLogin`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_user_login(event: Event, ctx: Context) -> None:
    """Fires when somebody logged in: `Shotgun_User_Login`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_user_logout(event: Event, ctx: Context) -> None:
    """Fires when somebody logged out: `Shotgun_User_Logout`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_toolkit_desktop_app_launch(event: Event, ctx: Context) -> None:
    """Fires when an application was launched from Toolkit's desktop: `Toolkit_Desktop_AppLaunch`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_toolkit_desktop_project_launch(event: Event, ctx: Context) -> None:
    """Fires when a project was opened in Toolkit's desktop: `Toolkit_Desktop_ProjectLaunch`.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_other(event: Event, ctx: Context) -> None:
    """Fires for an event whose type has no hook of its own, such as a studio's own types.

    Thread, order, result and errors as for `on_new`.
    """


@hookspec
def on_event(event: Event, ctx: Context) -> None:
    """Fires for every event, besides the hook of its type.

    It has no special position: in the plugin it is called in the order of definition. Thread,
    order, result and errors as for `on_new`.
    """


@hookspec
def register_callbacks(registrar: Registrar) -> None:
    """Fires once, when the plugin is loaded, to register callbacks in code.

    Called in the thread that loads plugins, in call order; they come after the plugin's hook
    implementations. What it returns is ignored. If it raises, nothing of the plugin is registered
    and its status is broken; the other plugins run.
    """


@hookspec
def settings_model() -> type:
    """Asks for the model of the plugin's settings, which validates `[plugins.NAME.settings]`.

    Called once for each load, in the thread that loads plugins, before `register_callbacks`. It
    returns a class: a dataclass, a msgspec Struct or a pydantic model; `ctx.settings` is then an
    instance of it. If it raises or the table does not fit, the plugin's status is broken; the other
    plugins run.
    """
    raise NotImplementedError


@hookspec
def failure_passes(error: BaseException, ctx: Context) -> bool | None:
    """Asks whether a failure of a callback passes by itself, so that the call is made again.

    Called when a callback of this plugin raises anything but `Retry` or what its `retry_on` lists,
    beside the callback's thread, with the `ctx` of the failed call. It returns True if the failure
    passes, False if it does not, and None for what applies to all plugins. If it raises, takes
    longer than a second or returns anything else, that is logged, and it has not answered.
    """


@hookspec
def startup(ctx: Context) -> None:
    """Fires once, before the plugin's first event after the start.

    Called one plugin at a time, in call order. What it returns is ignored. If it raises, the plugin
    is broken and is handed no events, none of which is lost; the other plugins run.
    """


@hookspec
def shutdown(ctx: Context) -> None:
    """Fires once, after the plugin's last event, when the daemon stops in an orderly way.

    Called one plugin at a time, in call order. What it returns is ignored. If it raises, that is
    logged, and the next plugin is called. It is not called if the process is killed.
    """


@hookspec
def callback_failed(details: CallbackFailure, ctx: Context) -> None:
    """Fires when a callback of any plugin failed, even if it will be retried.

    Called on the thread for alerts, one plugin at a time, in call order; no event waits for it.
    What it returns is ignored. If it raises, that is logged, and causes no further alert.
    """


@hookspec
def dead_lettered(details: DeadLetter, ctx: Context) -> None:
    """Fires when a callback of any plugin failed on an event for good.

    Thread, order, result and errors as for `callback_failed`.
    """


@hookspec
def plugin_paused(details: PluginPause, ctx: Context) -> None:
    """Fires when any plugin was paused.

    Thread, order, result and errors as for `callback_failed`.
    """


@hookspec
def backlog_timed_out(details: BacklogTimeout, ctx: Context) -> None:
    """Fires when ids missing in the event log are no longer waited for.

    Thread, order, result and errors as for `callback_failed`. If a row turns up after all, it is
    handled; there is no need to look for it.
    """


@hookspec
def attention_needed(details: Attention, ctx: Context) -> None:
    """Fires when something needs a person's attention, and again when it is over.

    Thread, order, result and errors as for `callback_failed`. It fires once for each kind and
    plugin: a log that went backwards, parked or set aside events, a refused key, a site or a state
    that has failed for a minute, a call that holds up its lane or hangs.
    """


@hookspec
def register_commands(group: click.Group) -> None:
    """Adds commands of the plugin to the command `sgevents`.

    Called in the process of the command, in call order, for help or for a command that is not one
    of sgevents' own; not in the daemon. What it returns is ignored. If it raises, the plugin's
    commands are missing and the error is reported; all others work.
    """
