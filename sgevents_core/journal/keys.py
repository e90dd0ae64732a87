"""What names one callback among those of all plugins; written down in one form only."""

from __future__ import annotations

from typing import Final, NamedTuple

_BETWEEN: Final = "\0"
"""What stands between the two names in a text: no plugin's name has it."""


class CallKey(NamedTuple):
    """One callback of one plugin.

    Args:
        plugin: The plugin's name.
        callback: The callback's name, `module:qualname`.
    """

    plugin: str
    callback: str

    def encode(self) -> str:
        """Return it as one text, for files and databases."""
        return f"{self.plugin}{_BETWEEN}{self.callback}"

    @classmethod
    def decode(cls, text: str) -> CallKey:
        """Return the key that a text stands for.

        Raises:
            ValueError: It stands for none.
        """
        plugin, between, callback = text.partition(_BETWEEN)
        if not between:
            raise ValueError(f"{text!r} names no callback of a plugin")
        return cls(plugin, callback)
