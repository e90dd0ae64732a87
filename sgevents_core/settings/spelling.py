"""Spell names and values as TOML does, and suggest the name a user probably intended."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Final

_TRUE_WORDS: Final = frozenset({"true", "yes", "on", "1", "y", "t", "enabled"})
_FALSE_WORDS: Final = frozenset({"false", "no", "off", "0", "n", "f", "disabled"})
BARE_KEY_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML lets be written without quotes."""


def nearest_name(misspelled_name: str, known_names: Iterable[str]) -> str | None:
    """Return the known name closest to `misspelled_name`, or None if none is close."""
    names_by_lower = {name.lower().replace("-", "_"): name for name in known_names}
    close_matches = difflib.get_close_matches(
        misspelled_name.lower().replace("-", "_"), names_by_lower, n=1, cutoff=0.7
    )
    return names_by_lower[close_matches[0]] if close_matches else None


def intended_bool(raw_value: object) -> str | None:
    """Guess whether a value that is not a boolean stands for `true` or `false`; None if neither."""
    word = str(raw_value).strip().lower() if isinstance(raw_value, str | int) else ""
    return "true" if word in _TRUE_WORDS else "false" if word in _FALSE_WORDS else None


def toml_string(plain_text: str) -> str:
    """Return `plain_text` as a TOML string, cut where it is long."""
    shortened_text = plain_text if len(plain_text) <= 60 else plain_text[:57] + "..."
    escaped_text = shortened_text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"'
        + "".join(
            character if character.isprintable() else f"\\u{ord(character):04x}"
            for character in escaped_text
        )
        + '"'
    )


def toml_literal(value: str | float) -> str:
    """Return `value` written as TOML."""
    return toml_string(value) if isinstance(value, str) else str(value).lower()


def joined_names(listed_names: Iterable[str]) -> str:
    """Join names into one string."""
    return ", ".join(listed_names) or "nothing"


def describe(raw_value: object) -> str:
    """Describe a value in the words of TOML."""
    if isinstance(raw_value, bool):
        return toml_literal(raw_value)
    if isinstance(raw_value, int | float):
        return f"the number {toml_literal(raw_value)}"
    return (
        f"the string {toml_string(raw_value)}" if isinstance(raw_value, str) else kind_of(raw_value)
    )


def kind_of(raw_value: object) -> str:
    """Return the kind of a value, without revealing the value."""
    if isinstance(raw_value, Mapping):
        return "a table"
    if isinstance(raw_value, list):
        return "a list"
    if isinstance(raw_value, datetime):
        return "a date and time"
    if isinstance(raw_value, (date, time)):
        return "a date" if isinstance(raw_value, date) else "a time"
    return "a string" if isinstance(raw_value, str) else "a number"


def dotted_key(key_path: Iterable[str | int]) -> str:
    """Return a place in the data as one key: `groups[1].lane`, `plugins."roll.up".start`."""
    dotted_text = ""
    for path_part in key_path:
        if isinstance(path_part, int):
            dotted_text += f"[{path_part}]"
        else:
            dotted_text += "." * bool(dotted_text) + (
                path_part if BARE_KEY_PATTERN.fullmatch(path_part) else toml_string(path_part)
            )
    return dotted_text
