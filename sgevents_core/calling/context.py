"""The `ctx` of callbacks, and the services that all calls of a plugin share."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from sgevents_core.calling.contact import SiteContact
from sgevents_core.calling.event_records import EventRecords, RecordKey
from sgevents_core.calling.late_start import LateStart
from sgevents_core.calling.parts import MAX_NAME, OncePart, PartRecords
from sgevents_core.calling.store import CallStore, PluginStore, Store, StoreChanges
from sgevents_core.errors import PartOutsideCallError
from sgevents_core.events import Event
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Credentials
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.settings import PluginSettings, SiteSettings
from sgevents_core.site.health import SiteHealth
from sgevents_core.state.done_parts import DonePart

if TYPE_CHECKING:
    from shotgun_api3.shotgun import Shotgun

_NEVER_ALIVE: Final = float("-inf")
MAX_REASON: Final = 500
"""The most characters of a reason for doing nothing with an event."""


class _OpenConnection:
    """A thread's connection, closed once the thread has ended and cannot use it."""

    def __init__(self, client: Shotgun) -> None:
        self.client = client

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be shutting down
            self.close()

    def close(self) -> None:
        self.client.close()


class Services:
    """The values that all calls of one plugin share.

    Args:
        plugin: The plugin.
        site_settings: The site, with the daemon's own credentials.
        plugin_table: The plugin's table in the config, with its own credentials if it has any.
        store: The owner of its durable mapping.
        site_key: The name of the site in `ctx.key`.
        redact: Removes secrets from texts.
        site_health: The health of the site; None if nothing monitors it.
        stopping: Set once a stop or a reload waits for running calls.
    """

    dry_run = False

    def __init__(
        self,
        plugin: LoadedPlugin,
        site_settings: SiteSettings,
        plugin_table: PluginSettings,
        *,
        store: PluginStore,
        site_key: str,
        redact: Redactor,
        site_health: SiteHealth | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.name = plugin.name
        self.stopping = threading.Event() if stopping is None else stopping
        self.contact = SiteContact(site_health)
        self.late_start: LateStart | None = None
        """The late start of the plugin, if it waits for the site; until then it is not called."""
        self.logger = logging.getLogger(f"sgevents.plugin.{plugin.name}")
        self.settings: Any = plugin.settings
        self.event_records = EventRecords()
        """The records read for events; shared by the plugins of a process."""
        self.part_records: PartRecords | None = None
        """Where parts of calls that are done are recorded; its lane sets it."""
        self.failure_passes = plugin.hooks.get("failure_passes")
        """The plugin's own rule for failures that pass by themselves; None if it has none."""
        self.store = store
        self.site_key = site_key
        self.redact = redact
        self._site_settings = site_settings
        self._credentials = Credentials(
            plugin_table.script_name or site_settings.script_name,
            plugin_table.api_key if plugin_table.api_key is not None else site_settings.api_key,
        )
        self._credentials_of = {
            callback.name: callback.credentials
            for callback in plugin.callbacks
            if callback.credentials is not None
        }
        self.lock = threading.RLock()
        self._thread_local = threading.local()
        self._open_connections: weakref.WeakSet[_OpenConnection] = weakref.WeakSet()
        self.uses_site = False
        """Whether any call has used `ctx.sg`."""

    def connect(self, session_uuid: str | None, callback: str) -> Shotgun:
        """Return this thread's connection, set to the session that caused the event.

        Args:
            session_uuid: The session.
            callback: The name of the callback or hook, which may have credentials of its own.
        """
        owner = callback if callback in self._credentials_of else ""
        open_connection = self._thread_connections.get(owner)
        if open_connection is None:
            credentials = self._credentials_of.get(callback, self._credentials)
            open_connection = self._thread_connections[owner] = _OpenConnection(
                self._open_connection(credentials)
            )
            self._open_connections.add(open_connection)
            self.uses_site = True
        open_connection.client.config.session_uuid = session_uuid
        return open_connection.client

    @property
    def _thread_connections(self) -> dict[str, _OpenConnection]:
        """This thread's connections: by callback those with credentials of their own, and one."""
        try:
            connections: dict[str, _OpenConnection] = self._thread_local.connections
        except AttributeError:
            connections = self._thread_local.connections = {}
        return connections

    def script_of(self, callback: str) -> str:
        """Return the script that the `ctx.sg` of a callback signs in with."""
        return self._credentials_of.get(callback, self._credentials).script_name

    @property
    def site_url(self) -> str:
        """The address of the site, without a slash at its end."""
        return self._site_settings.url.rstrip("/")

    def _open_connection(self, credentials: Credentials) -> Shotgun:
        client: Any = self.site_class()(
            self._site_settings.url,
            script_name=credentials.script_name,
            api_key=credentials.api_key.reveal(),
            http_proxy=self._site_settings.http_proxy,
            ca_certs=self._site_settings.ca_certs,
            connect=False,
        )
        client.config.timeout_secs = self._site_settings.timeout
        client.contact = self.contact
        client.event_records = self.event_records
        connection: Shotgun = client
        return connection

    def site_class(self) -> type[Shotgun]:
        """Return the client's class."""
        from sgevents_core.calling.connection import (  # noqa: PLC0415 - many plugins never use it
            CountingShotgun,
        )

        return CountingShotgun

    def take_writes(self) -> int:
        """Return how often the plugin wrote to the site in this thread since it was last asked."""
        write_count = 0
        for open_connection in self._thread_connections.values():
            client: Any = open_connection.client
            write_count += getattr(client, "writes", 0)
            client.writes = 0
        return write_count

    def close(self) -> None:
        """Close the connections of all threads."""
        for open_connection in list(self._open_connections):
            open_connection.close()


class CallContext:
    """The `ctx` of one call; see `sgevents_core.Context`.

    Args:
        services: The services of the plugin's calls.
        event: The event; None for a hook that is not called for an event.
        callback: The name of the callback or hook.
        attempt: The number of the attempt, from 1.
        era: The feed's era of the event.
        store: Used as the plugin's store; by default, one with changes of its own.
    """

    __slots__ = (
        "_callback",
        "_era",
        "_event",
        "_is_over",
        "_services",
        "_store",
        "attempt",
        "ignored",
        "last_heartbeat",
    )

    def __init__(
        self,
        services: Services,
        event: Event | None,
        callback: str,
        attempt: int = 1,
        era: int = 1,
        *,
        store: Store | None = None,
    ) -> None:
        self._services = services
        self._event = event
        self._callback = callback
        self._era = era
        self.attempt = attempt
        self.last_heartbeat = _NEVER_ALIVE
        """When the call last reported that it is alive, in monotonic seconds."""
        self._store = store
        self._is_over = False
        self.ignored = ""
        """Why the callback did nothing with the event, without secrets; empty if it does not say.
        """

    @property
    def store(self) -> Store:
        """The plugin's store; it belongs to this call from the first use until the verdict."""
        store = self._store
        if store is None:
            store = self._open_store()
        if not store.is_granted:
            store.wait_for_grant()
        return store

    def end(self) -> StoreChanges | None:
        """End the call; return the changes of its store to commit, None if it was not used."""
        self._is_over = True
        store = self._store
        if store is None or not isinstance(store, CallStore):  # the former is quicker
            return None
        store.end()
        return store.changes()

    def take_changes(self, changes: StoreChanges) -> None:
        """Take the changes that the call made to its store in another process."""
        store = self.store if changes else None
        if isinstance(store, CallStore):
            store.take_changes(changes)

    def release_store(self) -> None:
        """Let other calls use the store, once this call was judged and its changes committed."""
        if isinstance(self._store, CallStore):
            self._store.release()

    @property
    def seconds_waited(self) -> float:
        """How long the call has waited for its store, in seconds."""
        store = self._store
        return store.seconds_waited() if isinstance(store, CallStore) else 0.0

    def _open_store(self) -> Store:
        services = self._services
        with services.lock:
            if self._store is None:
                event_id = self._event.id if self._event else None
                store = CallStore(services.store, services.name, self._callback, event_id)
                self._store = store
                if self._is_over:  # ended meanwhile
                    store.end()
            return self._store

    @property
    def sg(self) -> Shotgun:
        """A connection to the site with the credentials of the callback, or the plugin."""
        session_uuid = self._event.session_uuid if self._event else None
        return self._services.connect(session_uuid, self._callback)

    @property
    def logger(self) -> logging.Logger:
        """The plugin's logger."""
        return self._services.logger

    @property
    def settings(self) -> Any:
        """The plugin's own settings."""
        return self._services.settings

    @property
    def key(self) -> str:
        """A key for this call that stays the same whenever the call is repeated."""
        event_id = self._event.id if self._event else ""
        services = self._services
        return f"{services.site_key}:{self._era}:{event_id}:{services.name}:{self._callback}"

    @property
    def plugin(self) -> str:
        """The plugin's name."""
        return self._services.name

    @property
    def dry_run(self) -> bool:
        """Whether writes through `sg` are only reported."""
        return self._services.dry_run

    @property
    def stopping(self) -> bool:
        """Whether a stop or a reload waits for this call."""
        return self._services.stopping.is_set()

    def ignore(self, reason: str) -> None:
        """Say that this call does nothing with the event, and why."""
        words = self._services.redact(str(reason)[:MAX_REASON]).split()
        self.ignored = " ".join(words) or "ignored"

    def entity(self, *fields: str) -> dict[str, Any] | None:
        """Return the event's own record with some fields, also when retired; None without one."""
        event = self._event
        if event is None or event.entity_type is None or event.entity_id is None:
            return None
        services, event_id = self._services, event.id
        record_key = RecordKey(
            services.script_of(self._callback), event_id, event.entity_type, event.entity_id
        )
        record = services.event_records.read(record_key, fields, self._read_entity)
        if record is None:
            return None
        return {name: record.get(name) for name in ("type", "id", *fields)}

    def _read_entity(self, fields: list[str]) -> dict[str, Any] | None:
        event, sg = self._event, self.sg
        if event is None or event.entity_type is None:
            return None
        filters = [["id", "is", event.entity_id]]
        record = sg.find_one(event.entity_type, filters, fields)
        if record is None:
            record = sg.find_one(event.entity_type, filters, fields, retired_only=True)
        return None if record is None else dict(record)

    def url(self, link: Mapping[str, Any] | None) -> str:
        """Return the address of a record's page on the site; empty without a record."""
        if not link or link.get("type") is None or link.get("id") is None:
            return ""
        return f"{self._services.site_url}/detail/{quote(str(link['type']))}/{int(link['id'])}"

    def settle_part(self, name: str, *, is_done: bool) -> bool:
        """Return whether a part of the call in another process is done; record it if it is now."""
        part = self.once(name)
        if is_done:
            part.note_done()
        return is_done or part.is_done()

    def once(self, name: str) -> OncePart:
        """Return a part of this call that is done once, as a context manager."""
        event, part_records = self._event, self._services.part_records
        if event is None or part_records is None:
            raise PartOutsideCallError(name=name, reason="only a call for an event has parts")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise PartOutsideCallError(
                name=name, reason=f"a part has a name of 1 to {MAX_NAME} characters"
            )
        services = self._services
        done_part = DonePart(services.name, self._callback, self._era, event.id, name)
        return OncePart(part_records, done_part, lambda: self._is_over)

    def heartbeat(self) -> None:
        """Report that this call is alive: its time limit counts from now."""
        self.last_heartbeat = time.monotonic()
