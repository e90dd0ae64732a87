"""The key that names one callback among all plugins' callbacks, and its only text form."""

from __future__ import annotations

from typing import Final, NamedTuple

_SEPARATOR: Final = "\0"
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
        """Return the key as text, for files and databases."""
        return f"{self.plugin}{_SEPARATOR}{self.callback}"

    @classmethod
    def decode(cls, encoded_key: str) -> CallKey:
        """Return the key that a text encodes.

        Raises:
            ValueError: The text does not encode a key.
        """
        plugin_name, separator, callback_name = encoded_key.partition(_SEPARATOR)
        if not separator:
            raise ValueError(f"{encoded_key!r} names no callback of a plugin")
        return cls(plugin_name, callback_name)
