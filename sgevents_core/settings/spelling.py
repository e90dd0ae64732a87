"""Names and values in the words and the spelling of TOML, and the name that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Final

_YES: Final = frozenset({"true", "yes", "on", "1", "y", "t", "enabled"})
_NO: Final = frozenset({"false", "no", "off", "0", "n", "f", "disabled"})
BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML lets be written without quotes."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` is probably a misspelling of, or None."""
    by_lower = {name.lower().replace("-", "_"): name for name in known}
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), by_lower, n=1, cutoff=0.7)
    return by_lower[matches[0]] if matches else None


def meant_bool(raw: object) -> str | None:
    """Return `true` or `false`, whichever a value that is neither was meant to be; or None."""
    word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    return "true" if word in _YES else "false" if word in _NO else None


def quoted(text: str) -> str:
    """Return `text` as a TOML string, cut where it is long."""
    short = text if len(text) <= 60 else text[:57] + "..."
    escaped = short.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def written(value: str | float) -> str:
    """Return `value` as TOML has it."""
    return quoted(value) if isinstance(value, str) else str(value).lower()


def listed(names: Iterable[str]) -> str:
    """Return names as one text."""
    return ", ".join(names) or "nothing"


def described(raw: object) -> str:
    """Say what `raw` is, in the words of TOML."""
    if isinstance(raw, bool):
        return written(raw)
    if isinstance(raw, int | float):
        return f"the number {written(raw)}"
    return f"the string {quoted(raw)}" if isinstance(raw, str) else kind_of(raw)


def kind_of(raw: object) -> str:
    """Say of which kind `raw` is, and nothing of the value."""
    if isinstance(raw, Mapping):
        return "a table"
    if isinstance(raw, list):
        return "a list"
    if isinstance(raw, datetime):
        return "a date and time"
    if isinstance(raw, (date, time)):
        return "a date" if isinstance(raw, date) else "a time"
    return "a string" if isinstance(raw, str) else "a number"


def dotted(where: Iterable[str | int]) -> str:
    """Return a place in the data as one key: `groups[1].lane`, `plugins."roll.up".start`."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if BARE_KEY.fullmatch(part) else quoted(part))
    return text
