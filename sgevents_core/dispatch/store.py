"""A plugin's durable mapping: its changes commit with the callback's record, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, Final

import msgspec

from sgevents_core.errors import StoreValueError
from sgevents_core.journal.base import REMOVED

_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Store(MutableMapping[str, Any]):
    """What `ctx.store` is: JSON values by text keys, changed by assignment.

    Args:
        plugin: Whose it is.
        load: Returns the values as last committed; called when the store is first used.
    """

    __slots__ = ("_changes", "_load", "_plugin", "_values")

    def __init__(self, plugin: str, load: Callable[[], dict[str, Any]]) -> None:
        self._plugin = plugin
        self._load = load
        self._values: dict[str, bytes] | None = None
        self._changes: dict[str, bytes | None] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._changes.get(key, b"")
        if value == b"":
            value = self._committed[key]
        if value is None:
            raise KeyError(key)
        return msgspec.json.decode(value)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise StoreValueError(plugin=self._plugin, key=key, reason="the key is not text")
        try:
            encoded = _encode(value)
            same = msgspec.json.decode(encoded)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise StoreValueError(plugin=self._plugin, key=key, reason=str(error)) from None
        if type(same) is not type(value):
            reason = f"a {type(value).__name__} would come back as a {type(same).__name__}"
            raise StoreValueError(plugin=self._plugin, key=key, reason=reason)
        self._changes[key] = encoded

    def __delitem__(self, key: str) -> None:
        self[key]  # raises for a key that is not there
        self._changes[key] = None

    def __iter__(self) -> Iterator[str]:
        for key in self._committed:
            if self._changes.get(key, b"") is not None:
                yield key
        for key, value in self._changes.items():
            if value is not None and key not in self._committed:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def _committed(self) -> dict[str, bytes]:
        if self._values is None:
            self._values = {key: _encode(value) for key, value in self._load().items()}
        return self._values

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._changes)

    def changes(self) -> dict[str, Any]:
        """Return what is to be committed, `REMOVED` for keys taken out; empty for nothing."""
        return {
            key: REMOVED if value is None else msgspec.Raw(value)
            for key, value in self._changes.items()
        }

    def committed(self) -> None:
        """Note that the changes were committed."""
        for key, value in self._changes.items():
            if value is None:
                self._committed.pop(key, None)
            else:
                self._committed[key] = value
        self._changes.clear()

    def rollback(self) -> None:
        """Forget the changes: the callback raised."""
        self._changes.clear()
