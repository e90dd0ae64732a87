"""The key that names one callback among those of all plugins, and its only encoding."""

from __future__ import annotations

from typing import Final, NamedTuple

_BETWEEN: Final = "\0"
"""The separator of the two names in a text; no plugin's name contains it."""


class CallKey(NamedTuple):
    """One callback of one plugin.

    Args:
        plugin: The plugin's name.
        callback: The callback's name, `module:qualname`.
    """

    plugin: str
    callback: str

    def encode(self) -> str:
        """Return it as text, for files and databases."""
        return f"{self.plugin}{_BETWEEN}{self.callback}"

    @classmethod
    def decode(cls, text: str) -> CallKey:
        """Return the key that a text encodes.

        Raises:
            ValueError: The text does not encode a key.
        """
        plugin, between, callback = text.partition(_BETWEEN)
        if not between:
            raise ValueError(f"{text!r} names no callback of a plugin")
        return cls(plugin, callback)
