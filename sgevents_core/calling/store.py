"""A plugin's durable mapping, which belongs to one call at a time.

Changes are committed with the callback's record or not at all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from sgevents_core.errors import CallIsOverError, StoreValueError
from sgevents_core.printable import counted
from sgevents_core.state.steps import REMOVED

_READ_ONLY_REASON: Final = (
    "hooks that alert run beside the plugin's callbacks, and can only read it"
)
_encode_json: Final = msgspec.json.Encoder().encode
logger = logging.getLogger("sgevents.dispatch")


StoreChanges: TypeAlias = "dict[str, bytes | None]"
"""Key -> new value as JSON, None for a removed key."""


def recorded_changes(changes: StoreChanges) -> dict[str, Any]:
    """Return changes as a step of work records them."""
    return {key: REMOVED if value is None else msgspec.Raw(value) for key, value in changes.items()}


class Store(MutableMapping[str, Any]):
    """The type of `ctx.store`: JSON values by text keys, changed by assignment.

    Args:
        plugin_name: Its plugin's name.
        committed: The values as last committed, encoded.
    """

    __slots__ = ("_changes", "_committed", "_plugin")

    is_granted = True
    """Whether the store can be used without waiting."""

    def __init__(self, plugin_name: str, committed: Mapping[str, bytes]) -> None:
        self._plugin = plugin_name
        self._committed = committed
        self._changes: StoreChanges = {}

    def __getitem__(self, key: str) -> Any:
        value = self._changes.get(key, _UNCHANGED_MARKER)
        if value is _UNCHANGED_MARKER:
            value = self._committed[key]
        if value is None:
            raise KeyError(key)
        return msgspec.json.decode(value)

    def __setitem__(self, key: str, value: Any) -> None:
        try:  # before _change takes a lock: encoding may run a plugin's code
            checked_key, encoded_value = _check_key(key), _encode_value(value)
        except (TypeError, ValueError) as error:
            raise self._refusal(key, str(error)) from None
        self._change(checked_key, encoded_value)

    def __delitem__(self, key: str) -> None:
        self[key]  # raises KeyError if it is missing
        self._change(key, None)

    def __iter__(self) -> Iterator[str]:
        current_values = {**self._committed, **self._changes}
        return iter([key for key, value in current_values.items() if value is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<store of plugin {self._plugin}, {counted(len(self), 'key')}>"

    def as_json(self) -> dict[str, bytes]:
        """Return the values as this store sees them, as JSON by key."""
        current_values = {**self._committed, **self._changes}
        return {key: value for key, value in current_values.items() if value is not None}

    def wait_for_grant(self) -> None:
        """Wait until the store can be used."""

    def _change(self, key: str, encoded_value: bytes | None) -> None:
        """Change one value; None removes it."""
        raise self._refusal(key, _READ_ONLY_REASON)

    def _refusal(self, key: object, reason: str) -> StoreValueError:
        return StoreValueError(plugin=self._plugin, key=key, reason=reason)


class StoreSource(Protocol):
    """The owner of a plugin's values, which grants them to one call at a time.

    In the daemon's process that is a `PluginStore`; in a child it asks the daemon's.
    """

    def grant(self, call: CallStore) -> Mapping[str, bytes]:
        """Wait until no other call has the store, and grant it to `call`.

        Returns:
            The values as last committed, encoded. Also returned, without a grant, if the call ends
            while it waits.
        """

    def release(self, call: CallStore) -> None:
        """Take the store back from a call, which has been judged; do nothing if it has none."""

    def wake(self) -> None:
        """Let waiting calls check again whether they have ended."""

    def read_only_view(self) -> Store:
        """Return a read-only view of the last committed values; safe from any thread."""


class PluginStore:
    """The values of one plugin, granted to one of its calls at a time.

    A call has them from its first use of `ctx.store` until it is judged, whatever thread or process
    it runs in, so that no other call changes what it has read.

    Args:
        plugin_name: The plugin's name.
        values: The values as last committed.
        damage: Why they cannot be read, for people; None if they can.
    """

    def __init__(
        self, plugin_name: str, values: Mapping[str, Any], damage: str | None = None
    ) -> None:
        self.damage = damage
        self._plugin = plugin_name
        self._committed = {key: _encode_json(value) for key, value in values.items()}
        self._is_free = threading.Condition()  # reentrant: a finalizer may use the store too
        self._holder: CallStore | None = None

    def grant(self, call: CallStore) -> Mapping[str, bytes]:
        """Wait until no other call has the store, and grant it to `call`.

        Returns:
            The values as last committed, encoded. Also returned, without a grant, if the call ends
            while it waits.
        """
        with self._is_free:
            if self._is_held_by_another(call):
                with call.waiting():
                    while not call.is_over and self._is_held_by_another(call):
                        self._is_free.wait()
            if not call.is_over:
                self._holder = call
            return self._committed

    def release(self, call: CallStore) -> None:
        """Take the store back from a call, which has been judged; do nothing if it has none."""
        with self._is_free:
            if self._holder is call:
                self._holder = None
                self._is_free.notify_all()

    def wake(self) -> None:
        """Let waiting calls check again whether they have ended."""
        with self._is_free:
            self._is_free.notify_all()

    def commit(self, changes: StoreChanges) -> None:
        """Accept the changes of a call as committed; before the call's store is released."""
        with self._is_free:
            for key, value in changes.items():
                if value is None:
                    self._committed.pop(key, None)
                else:
                    self._committed[key] = value

    def read_only_view(self) -> Store:
        """Return a read-only view of the last committed values; safe from any thread."""
        return Store(self._plugin, self._committed.copy())

    def size(self) -> int:
        """Return the size of the last committed values and their keys, in bytes of JSON."""
        return sum(len(key) + len(value) for key, value in self._committed.copy().items())

    def _is_held_by_another(self, call: CallStore) -> bool:
        return self._holder is not None and self._holder is not call


class CallStore(Store):
    """The store of one call, from its first use to the verdict on the call.

    Several threads of the call may use it at once. Changes after the verdict are refused and
    logged.

    Args:
        source: Grants the values.
        plugin_name: Its plugin's name.
        callback_name: The name of the callback or hook.
        event_id: The event's id; None for a hook that is not called for an event.
    """

    __slots__ = (
        "_callback",
        "_event_id",
        "_has_reported",
        "_lock",
        "_source",
        "_waited_seconds",
        "_waits_since",
        "is_granted",
        "is_over",
    )

    def __init__(
        self, source: StoreSource, plugin_name: str, callback_name: str, event_id: int | None
    ) -> None:
        super().__init__(plugin_name, {})
        self.is_granted = self.is_over = False
        self._source = source
        self._callback = callback_name
        self._event_id = event_id
        self._lock = threading.RLock()  # a finalizer may write here in the same thread
        self._has_reported = False
        self._waited_seconds = 0.0
        self._waits_since: float | None = None

    def wait_for_grant(self) -> None:
        """Wait until no other call of the plugin has the store, or this call is over."""
        self._committed = self._source.grant(self)
        self.is_granted = True

    def changes(self) -> StoreChanges:
        """Return the changes that are to be committed."""
        return self._changes

    def take_changes(self, changes: StoreChanges) -> None:
        """Take changes that the call has made in another process."""
        with self._lock:
            self._changes.update(changes)

    def end(self) -> None:
        """Refuse further changes; the values stay granted until they are released."""
        with self._lock:
            self.is_over = True
        if self._waits_since is not None:
            self._source.wake()

    def release(self) -> None:
        """Let other calls use the plugin's store."""
        self._source.release(self)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting for the store."""
        began_at = self._waits_since = time.monotonic()
        try:
            yield
        finally:
            self._waits_since = None
            self._waited_seconds += time.monotonic() - began_at

    def seconds_waited(self) -> float:
        """Return how long the call has waited for the store, which is not charged to its limit."""
        waits_since = self._waits_since
        return self._waited_seconds + (
            0.0 if waits_since is None else time.monotonic() - waits_since
        )

    def _change(self, key: str, encoded_value: bytes | None) -> None:
        with self._lock:
            is_accepted = not self.is_over
            if is_accepted:
                self._changes[key] = encoded_value
        if not is_accepted:
            self._refuse_change()

    def _refuse_change(self) -> None:
        event_text = "" if self._event_id is None else f" for event {self._event_id}"
        error = CallIsOverError(plugin=self._plugin, callback=self._callback, event=event_text)
        if not self._has_reported:
            self._has_reported = True
            extra = {
                "action": "store.refused",
                "plugin": self._plugin,
                "callback": self._callback,
                "event_id": self._event_id,
            }
            logger.warning("%s", error, extra=extra)
        raise error


_UNCHANGED_MARKER: Final = b""
"""A marker that no encoded value equals."""


def _check_key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("the key is not text")
    key = str.__str__(key)  # a plugin's subclass of str would run its code
    key.encode()  # raises for a lone surrogate, which the database refuses
    return key


def _encode_value(value: Any) -> bytes:
    """Return a value as JSON that decodes to the same value.

    Raises:
        TypeError: JSON cannot represent the value.
        ValueError: It would decode to a different value.
    """
    try:
        encoded_value = _encode_json(value)
        decoded_value = msgspec.json.decode(encoded_value)
        is_same = type(decoded_value) is type(value) and bool(decoded_value == value)
    except (RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    if not is_same:
        reason_text = f"a {type(value).__name__} would come back as {decoded_value!r:.100}"
        raise ValueError(reason_text)
    return encoded_value
