"""The objects that hooks are given: the context, the registrar and the details of an occurrence.

Plugin authors use them for type hints; the daemon implements them. Details are one frozen object,
so that a new field breaks no plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from logging import Logger
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

    from sgevents_core.batching import By, Duration
    from sgevents_core.call_options import RetryOn
    from sgevents_core.choices import OnError
    from sgevents_core.events import Event
    from sgevents_core.filters import Project, Texts, User, Values, Where
    from sgevents_core.site_client import SiteClient


if TYPE_CHECKING:  # a default, so that `Context` alone is `Context[Any]` in strict mode too
    from typing_extensions import TypeVar

    SettingsT_co = TypeVar("SettingsT_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    SettingsT_co = TypeVar("SettingsT_co", covariant=True)


class Context(Protocol[SettingsT_co]):
    """What a callback is given besides the event; one for each call.

    `Context[ChatSettings]` says of which type `settings` are.
    """

    @property
    def sg(self) -> SiteClient:
        """The site, with the plugin's own credentials; connected when first used.

        A `shotgun_api3.Shotgun`. Each thread has its own. Writes through it carry the event's
        `session_uuid`.
        """

    @property
    def logger(self) -> Logger:
        """The plugin's logger; its records carry the plugin and the event."""

    @property
    def settings(self) -> SettingsT_co:
        """The plugin's own settings, `[plugins.NAME.settings]`.

        An instance of what `settings_model` returned; a read-only mapping without that hook.
        """

    @property
    def store(self) -> MutableMapping[str, Any]:
        """What the plugin remembers: JSON values by name, kept across restarts.

        Changes are saved when the callback returns, together with the record of its return; if it
        raises they are dropped, and what a thread assigns later is refused. Change a value by
        assigning it: `ctx.store["seen"] = [*seen, 12]`.
        """

    @property
    def attempt(self) -> int:
        """The number of this attempt for the event and callback, from 1."""

    @property
    def key(self) -> str:
        """A text that is the same for every attempt of this event and callback, and unique."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing outside may be changed: log what would be done instead."""

    @property
    def stopping(self) -> bool:
        """Whether a stop or a reload of the daemon waits for this call.

        A call that takes long can then raise `Retry`, and continue after the start.
        """

    def entity(self, *fields: str) -> dict[str, Any] | None:
        """Return the event's own record with these fields, and its type and id.

        Also of a retired record; None if the site has none, or the event is about none. It is read
        once for all callbacks of the event that share a script and ask for fields already read, and
        again once one of them has written through `ctx.sg`. The dict is the caller's own.

        Args:
            fields: The fields, also of linked records: `"code"`, `"entity.Shot.code"`.
        """

    def url(self, link: Mapping[str, Any] | None) -> str:
        """Return the address of a record's page on the site.

        Args:
            link: A record with `type` and `id`, such as `event.entity`; None gives an empty text.
        """

    def once(self, name: str) -> AbstractContextManager[bool]:
        """Do a part of this call once for the event, however often the call is made.

        `with ctx.once("channel-1") as first:` gives True until a block has ended without an error
        for this event, callback and name; that is saved at once and kept even if the call fails
        later. A kill inside the block repeats it.
        """

    def ignore(self, reason: str) -> None:
        """Say that this call does nothing with the event, and why.

        `sgevents explain` shows the reason instead of "handled". It ends nothing: return after it.
        """

    def heartbeat(self) -> None:
        """Say that this call is alive: its `timeout` counts from now.

        Call it as often as you like, wherever a long call makes progress. It is cheap, and without
        a `timeout` it does nothing.
        """


class Registrar(Protocol[SettingsT_co]):
    """The registry for callbacks that are not hook implementations, until its hook returns.

    `Registrar[ChatSettings]` says of which type `settings` are.
    """

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def settings(self) -> SettingsT_co:
        """The plugin's own settings, `[plugins.NAME.settings]`.

        An instance of what `settings_model` returned; a read-only mapping without that hook.
        """

    @property
    def logger(self) -> Logger:
        """The plugin's logger."""

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
        """Register `callback`, to be called after those registered before it.

        Args:
            callback: A function, method, partial or instance with `__call__`, async or not. It is
                called with as many of event, context and `args` as it accepts, by position.
            event_type: As for `match`, and so are the next nine and `on_error` and `timeout`.
            entity_type: Types of record.
            attribute: Fields.
            project: Projects by id or name.
            user: People who did it, by id, login or name.
            script: Names of scripts that did it.
            in_create: Whether the value was set while the record was created.
            old_value: Old values.
            new_value: New values.
            where: Called with the event; the event is wanted if it returns something true.
            args: Passed to the callback, the same object each time.
            on_error: What to do when it fails, instead of the plugin's policy.
            timeout: How long it may take: seconds, text such as `"30s"`, or a timedelta.
            retry_on: Classes of errors that pass by themselves.
            max_attempts: The most calls for one event.
            batch: The pause after which events of one key are handed over together: the callback
                gets a list of them instead of an event.
            by: What events of one batch have in common, as for `match`.
            at_most: How long the first event of a batch waits at most.
            size: The most events in a batch.
            name: Its name in logs and progress; by default `module:qualname`. A name that stays the
                same across releases lets a failed event be retried after an upgrade.

        Returns:
            The callback's name, unique within the plugin.

        Raises:
            RegistrationError: It cannot be called this way, or a value is wrong.
        """


@dataclass(frozen=True, kw_only=True)
class CallbackFailure:
    """A callback raised, exceeded its timeout or ended the process."""

    plugin: str
    callback: str
    event: Event
    error: str
    """Type and message of the exception, or else what happened, in one line."""
    traceback: str
    """As Python prints it; empty if there is none."""
    attempt: int
    """The number of this attempt, from 1."""
    next_attempt_at: datetime | None
    """When it will be called again, an aware datetime; None if it will not."""
    events: tuple[Event, ...] = ()
    """The events of the batch that it was called with; empty for a callback of single events."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """An event on which a callback failed for good; kept until retried or dismissed."""

    plugin: str
    callback: str
    event: Event
    error: str
    traceback: str
    attempts: int
    number: int
    """The dead letter's own number, for the commands that retry and dismiss it."""
    events: tuple[Event, ...] = ()
    """The events of the batch that it was called with; empty for a callback of single events."""


@dataclass(frozen=True, kw_only=True)
class PluginPause:
    """A plugin was paused: it is handed no events until a person resumes it; none is lost."""

    plugin: str
    reason: str
    event_id: int | None
    """The event at which it will continue; None if it was paused between events."""


AttentionKind: TypeAlias = Literal[
    "state_not_written",
    "key_refused",
    "site_down",
    "rewound",
    "lane_held_up",
    "call_hangs",
    "parked",
    "set_aside",
]
"""The occurrences that need a person, besides failed callbacks and paused plugins."""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Something needs a person's attention, or no longer does."""

    kind: AttentionKind
    summary: str
    """What is wrong, in a sentence."""
    fix: str
    """What to do about it."""
    plugin: str
    """The plugin concerned; empty if none is."""
    over: bool
    """Whether it is over: it was reported before with `over=False`."""


@dataclass(frozen=True, kw_only=True)
class BacklogTimeout:
    """Ids whose rows did not arrive within `backlog_timeout`; they are no longer waited for."""

    first_id: int
    last_id: int
    """The same as `first_id` for a single id."""
    noticed_at: datetime
    """When the gap was first seen, an aware datetime; for several gaps, the oldest."""
    ids: int = 1
    """The number of ids: fewer than from first to last if several gaps are reported as one."""
