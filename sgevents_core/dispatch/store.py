"""A plugin's durable mapping: its changes commit with the callback's record, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

import msgspec

from sgevents_core.errors import StoreValueError
from sgevents_core.journal.base import REMOVED

_ONLY_READ: Final = "hooks that alert run beside the plugin's callbacks, and can only read it"
_encode: Final = msgspec.json.Encoder().encode


class Store(MutableMapping[str, Any]):
    """What `ctx.store` is: JSON values by text keys, changed by assignment.

    Args:
        plugin: Whose it is.
        values: The values as last committed.
    """

    __slots__ = ("_changes", "_committed", "_plugin")

    def __init__(self, plugin: str, values: Mapping[str, Any]) -> None:
        self._plugin = plugin
        self._committed = {key: _encode(value) for key, value in values.items()}
        self._changes: dict[str, bytes | None] = {}

    def __getitem__(self, key: str) -> Any:
        value = self._changes[key] if key in self._changes else self._committed[key]
        if value is None:
            raise KeyError(key)
        return msgspec.json.decode(value)

    def __setitem__(self, key: str, value: Any) -> None:
        try:
            self._changes[_checked(key)] = _encoded(value)
        except (TypeError, ValueError) as error:
            raise self._refusal(key, str(error)) from None

    def __delitem__(self, key: str) -> None:
        self[key]  # raises for a key that is not there
        self._changes[key] = None

    def __iter__(self) -> Iterator[str]:
        merged = {**self._committed, **self._changes}
        return iter([key for key, value in merged.items() if value is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<store of plugin {self._plugin}, {len(self)} key(s)>"

    def seen(self) -> Store:
        """Return the values as last committed, to be read only; safe from any thread."""
        return _SeenStore(self._plugin, self._committed.copy())

    def _refusal(self, key: object, reason: str) -> StoreValueError:
        return StoreValueError(plugin=self._plugin, key=key, reason=reason)

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


class _SeenStore(Store):
    """A store as it was at some moment; changes are refused."""

    __slots__ = ()

    def __init__(self, plugin: str, committed: dict[str, bytes]) -> None:
        super().__init__(plugin, {})
        self._committed = committed

    def __setitem__(self, key: str, value: Any) -> None:
        raise self._refusal(key, _ONLY_READ)

    def __delitem__(self, key: str) -> None:
        raise self._refusal(key, _ONLY_READ)


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("the key is not text")
    key.encode()  # a lone surrogate, which no database takes
    return str(key)


def _encoded(value: Any) -> bytes:
    """Return a value as JSON that gives the very same value back.

    Raises:
        TypeError: JSON has no such value.
        ValueError: It would come back as another one.
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
