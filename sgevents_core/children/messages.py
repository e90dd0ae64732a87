"""The messages between the daemon and a worker process, as typed values.

What the daemon sends may hold pickles, since a child trusts its daemon. What a child sends is plain
data of declared types: it shares its process with the code of plugins.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final, Literal, TypeAlias

import msgspec

from sgevents_core.calling.outcome import CallMessage, CallOutcome, RaisedError
from sgevents_core.children.log_record import LogRecord
from sgevents_core.choices import OnError
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.settings.secret import Secret

# From the daemon to a child


class Prepare(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """Load the plugins of a lane, then start those that were first started in another child.

    Args:
        lane: The lane's name.
        settings: The configuration with the lane's plugins alone, pickled, with its secrets.
        search_path: `sys.path`.
        site_key: The name of the site in `ctx.key`.
        known: Plugin -> why it is not loaded.
        started: The plugins whose `startup` to call now; what it changes in stores is not kept.
        logs_every_call: Whether every call of a callback is logged.
        memory_limit: The most memory that it may use, in bytes; 0 for any.
    """

    lane: str
    settings: bytes
    search_path: list[str]
    site_key: str
    known: dict[str, KnownBroken] = {}
    started: list[str] = []
    logs_every_call: bool = False
    memory_limit: int = 0


class CallWanted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """Call a callback for an event.

    Args:
        number: The number of the call.
        call: The call; without a body, its event is that of the call before.
    """

    number: int
    call: CallMessage


class CancelWanted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """Cancel an async call that has exceeded its time limit.

    Args:
        number: The number of the call.
        within: The limit, for people.
    """

    number: int
    within: str


class HookWanted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """Call a hook that is not an event hook.

    Args:
        number: The number of the call.
        plugin: The plugin.
        hook: The hook's name.
        arguments: Its arguments before `ctx`, pickled.
    """

    number: int
    plugin: str
    hook: str
    arguments: bytes


class StoreGranted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The values of a plugin's store, which belongs to a call until its end.

    Args:
        number: The number of the call.
        values: Key -> value as JSON.
    """

    number: int
    values: dict[str, bytes]


class PartAnswered(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The answer to `PartAsked`.

    Args:
        number: The number of the call.
        is_done: Whether the part is done.
    """

    number: int
    is_done: bool


class ScriptsLearned(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The names of the site's scripts, as far as they are known now.

    Args:
        names: Id -> name.
        ids: Name -> the ids that sign in with it.
    """

    names: dict[int, str]
    ids: dict[str, list[int]]


class StopWaits(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A stop or a reload waits for the running call: `ctx.stopping` is true from now on."""


class End(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """End after the running call.

    Args:
        shuts_down: Whether to call the plugins' `shutdown`; what it changes in stores is not kept.
    """

    shuts_down: bool = True


# From a child to the daemon


class SentMatch(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The part of a callback's filter that needs no code of the plugin; see `Match`.

    Args:
        by_type: The types and attributes wanted by a callback of a classic plugin.
        asks: Whether the rest of the filter has to be run in the child.
    """

    event_type: tuple[str, ...] = ()
    entity_type: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()
    project: tuple[int | str, ...] = ()
    user: tuple[int | str, ...] = ()
    script: tuple[str, ...] = ()
    in_create: bool | None = None
    not_script: str | None = None
    by_type: dict[str, tuple[str, ...] | None] | None = None
    asks: bool = False


class SentBatch(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The rules of a callback's batches; see `BatchRules`.

    Args:
        by: The key of its events; None if a function in the child says it.
    """

    pause: float
    at_most: float
    size: int
    by: Literal["entity", "project"] | None


class SentCallback(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A callback without its code; see `Callback`."""

    name: str
    hook: str | None
    match: SentMatch
    on_error: OnError | None
    timeout: float | None
    where: str
    is_async: bool = False
    max_attempts: int | None = None
    batch: SentBatch | None = None


class SentPlugin(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A loaded plugin without its code; see `LoadedPlugin`."""

    name: str
    group: str
    lane: str
    distribution: str
    version: str | None
    callbacks: list[SentCallback]
    hooks: list[str]
    warnings: list[str]


class Prepared(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A child has loaded its plugins.

    Args:
        plugins: The loaded plugins.
        statuses: The status of each plugin of the lane.
        not_started: Plugin -> why its `startup` failed in this child.
        learned: Secrets that were found meanwhile.
    """

    plugins: list[SentPlugin]
    statuses: list[PluginStatus]
    not_started: dict[str, RaisedError] = {}
    learned: list[str] = []


class CallEnded(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The outcome of a call of a callback."""

    number: int
    outcome: CallOutcome


class HookEnded(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """The outcome of a call of another hook.

    Args:
        number: The number of the call.
        error: The exception that it raised; None if it returned.
        changes: Key -> value as JSON of the changes to its store; None for a removed key.
    """

    number: int
    error: RaisedError | None = None
    changes: dict[str, bytes | None] = {}


class StoreWanted(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A call uses its plugin's store for the first time, and waits for its values."""

    number: int
    plugin: str


class PartAsked(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A call asks whether a part of it is done, or says that it is now, and waits for the answer.

    Args:
        number: The number of the call.
        name: The name of the part.
        is_done: Whether it is done now.
    """

    number: int
    name: str
    is_done: bool = False


class Heartbeat(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A call reports that it is alive: its time limit counts from now."""

    number: int


class SiteReport(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A plugin's call to the site begins or has ended.

    Args:
        plugin: The plugin.
        waits: Whether one of its calls has not returned.
        begins: Whether a call begins.
        failed: When a call last got no answer, in monotonic seconds; None if that never happened.
        answered: When the call that was answered now had begun, in monotonic seconds.
    """

    plugin: str
    waits: bool
    begins: bool = False
    failed: float | None = None
    answered: float | None = None


ToChild: TypeAlias = (
    Prepare
    | CallWanted
    | CancelWanted
    | HookWanted
    | StoreGranted
    | PartAnswered
    | ScriptsLearned
    | StopWaits
    | End
)
ToDaemon: TypeAlias = (
    Prepared | CallEnded | HookEnded | StoreWanted | PartAsked | Heartbeat | SiteReport | LogRecord
)
Reply: TypeAlias = Prepared | CallEnded | HookEnded | StoreWanted | PartAsked | Heartbeat
"""A message that belongs to a call or to the preparation."""
PREPARATION: Final = 0
"""The number that stands for the preparation instead of a call."""

encode: Final = msgspec.msgpack.Encoder().encode
decode_prepare: Final = msgspec.msgpack.Decoder(Prepare).decode
decode_to_child: Final = msgspec.msgpack.Decoder(ToChild).decode
decode_to_daemon: Final = msgspec.msgpack.Decoder(ToDaemon).decode


class _SettingsPickler(pickle.Pickler):
    """A pickler that includes secrets, which cannot be pickled elsewhere: a child needs them."""

    def reducer_override(self, value: object) -> Any:
        if type(value) is Secret:
            text = value.reveal() if value.is_there else None
            return Secret, (text, value.source)
        return NotImplemented


def pickled_with_secrets(value: object) -> bytes:
    """Return a value as a pickle in which secrets are readable; only for the pipe to a child."""
    buffer = io.BytesIO()
    _SettingsPickler(buffer).dump(value)
    return buffer.getvalue()
