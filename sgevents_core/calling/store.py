"""A plugin's durable mapping: changes are committed with the callback's record or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import msgspec

from sgevents_core.errors import CallIsOverError, StoreValueError
from sgevents_core.printable import counted
from sgevents_core.state.steps import REMOVED

_ONLY_READ: Final = "hooks that alert run beside the plugin's callbacks, and can only read it"
_encode: Final = msgspec.json.Encoder().encode
logger = logging.getLogger("sgevents.dispatch")


StoreChanges: TypeAlias = "dict[str, bytes | None]"
"""Key -> new value as JSON, None for a removed key."""


def recorded(changes: StoreChanges) -> dict[str, Any]:
    """Return changes as a step of work records them."""
    return {key: REMOVED if value is None else msgspec.Raw(value) for key, value in changes.items()}


class Store(MutableMapping[str, Any]):
    """The type of `ctx.store`: JSON values by text keys, changed by assignment.

    Args:
        plugin: Its plugin's name.
        values: The values as last committed.
        damage: Why they cannot be read, for people; empty if they can.
    """

    __slots__ = ("_changes", "_committed", "_plugin", "damage")

    def __init__(self, plugin: str, values: Mapping[str, Any], damage: str = "") -> None:
        self._plugin = plugin
        self.damage = damage
        self._committed = {key: _encode(value) for key, value in values.items()}
        self._changes: dict[str, bytes | None] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._changes.get(key, _UNCHANGED)
        if value is _UNCHANGED:
            value = self._committed[key]
        if value is None:
            raise KeyError(key)
        return msgspec.json.decode(value)

    def __setitem__(self, key: str, value: Any) -> None:
        try:
            self._changes[_checked(key)] = _encoded(value)
        except (TypeError, ValueError) as error:
            raise self._refusal(key, str(error)) from None

    def __delitem__(self, key: str) -> None:
        self[key]  # raises KeyError if it is missing
        self._changes[key] = None

    def __iter__(self) -> Iterator[str]:
        merged = {**self._committed, **self._changes}
        return iter([key for key, value in merged.items() if value is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<store of plugin {self._plugin}, {counted(len(self), 'key')}>"

    def of_call(self, callback: str, event_id: int | None) -> CallStore:
        """Return the store for one call, with changes of its own.

        Args:
            callback: The name of the callback or hook.
            event_id: The event's id; None for a hook that is not called for an event.
        """
        return CallStore(self._plugin, self._committed, callback, event_id)

    def seen(self) -> Store:
        """Return a read-only view of the last committed values; safe from any thread."""
        return _SeenStore(self._plugin, self._committed.copy())

    def _refusal(self, key: object, reason: str) -> StoreValueError:
        return StoreValueError(plugin=self._plugin, key=key, reason=reason)

    def changes(self) -> StoreChanges:
        """Return the changes that are to be committed."""
        return self._changes

    def commit(self, changes: StoreChanges) -> None:
        """Accept the changes of a call as committed."""
        for key, value in changes.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        self._changes = {}


class CallStore(Store):
    """The store of one call, from its first use to the verdict on the call.

    Several threads of the call may use it at once. Changes after the verdict are refused and
    logged.

    Args:
        plugin: Its plugin's name.
        committed: The values as last committed, shared with the plugin's other calls.
        callback: The name of the callback or hook.
        event_id: The event's id; None for a hook that is not called for an event.
    """

    __slots__ = ("_callback", "_event_id", "_is_over", "_lock", "_said")

    def __init__(
        self, plugin: str, committed: dict[str, bytes], callback: str, event_id: int | None
    ) -> None:
        super().__init__(plugin, {})
        self._committed = committed
        self._callback = callback
        self._event_id = event_id
        self._lock = threading.RLock()  # a finalizer may write here in the same thread
        self._is_over = self._said = False

    def __setitem__(self, key: str, value: Any) -> None:
        try:  # outside the lock: encoding may run a plugin's code
            checked, encoded = _checked(key), _encoded(value)
        except (TypeError, ValueError) as error:
            raise self._refusal(key, str(error)) from None
        self._change(checked, encoded)

    def __delitem__(self, key: str) -> None:
        self[key]  # raises KeyError if it is missing
        self._change(key, None)

    def end(self) -> None:
        """Refuse further changes."""
        with self._lock:
            self._is_over = True

    def _change(self, key: str, value: bytes | None) -> None:
        with self._lock:
            taken = not self._is_over
            if taken:
                self._changes[key] = value
        if not taken:
            self._refuse()

    def _refuse(self) -> None:
        event = "" if self._event_id is None else f" for event {self._event_id}"
        error = CallIsOverError(plugin=self._plugin, callback=self._callback, event=event)
        if not self._said:
            self._said = True
            extra = {
                "action": "store.refused",
                "plugin": self._plugin,
                "callback": self._callback,
                "event_id": self._event_id,
            }
            logger.warning("%s", error, extra=extra)
        raise error


class _SeenStore(Store):
    """A read-only store as it was at one moment."""

    __slots__ = ()

    def __init__(self, plugin: str, committed: dict[str, bytes]) -> None:
        super().__init__(plugin, {})
        self._committed = committed

    def __setitem__(self, key: str, value: Any) -> None:
        raise self._refusal(key, _ONLY_READ)

    def __delitem__(self, key: str) -> None:
        raise self._refusal(key, _ONLY_READ)


_UNCHANGED: Final = b""
"""A marker that no encoded value equals."""


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("the key is not text")
    key = str.__str__(key)  # a plugin's subclass of str would run its code
    key.encode()  # raises for a lone surrogate, which the database refuses
    return key


def _encoded(value: Any) -> bytes:
    """Return a value as JSON that decodes to the same value.

    Raises:
        TypeError: JSON cannot represent the value.
        ValueError: It would decode to a different value.
    """
    try:
        encoded = _encode(value)
        back = msgspec.json.decode(encoded)
        same = type(back) is type(value) and bool(back == value)
    except (RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    if not same:
        what = f"a {type(value).__name__} would come back as {back!r:.100}"
        raise ValueError(what)
    return encoded
