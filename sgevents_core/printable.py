"""Making text from outside safe to show: nothing in it can move a cursor or forge a line.

Names, errors and values come from users, the site and packages. Everything shown to people or
written to a file for people passes through here; JSON for programs keeps the values and escapes the
same characters in its own way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_CONTROL: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0, DEL and C1 (including CSI), without tab and newline."""
_INVISIBLE: Final = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f"
)
"""Characters that reorder, hide or break text: bidi controls, zero widths, line separators, tags.

Joiners (U+200C, U+200D) stay, since scripts and emoji are written with them.
"""
_SURROGATE: Final = "\ud800-\udfff"
"""Lone surrogates, which UTF-8 cannot encode."""

_IN_LINES: Final = re.compile(f"[{_CONTROL}{_INVISIBLE}{_SURROGATE}]")
_IN_ONE_LINE: Final = re.compile(f"[\t\n{_CONTROL}{_INVISIBLE}{_SURROGATE}]")
_IN_TOML: Final = re.compile(f"[\t\n{_CONTROL}{_INVISIBLE}]")  # TOML cannot escape surrogates
_SHORT: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def one_line(text: object) -> str:
    r"""Return `text` as one line in which every character is visible: an ESC becomes `\x1b`.

    Args:
        text: The text from outside; anything else is converted with `str`.
    """
    shown = text if isinstance(text, str) else str(text)
    return shown if shown.isascii() and shown.isprintable() else _IN_ONE_LINE.sub(_shown, shown)


def lines(text: str, *, indent: str = "") -> str:
    """Return `text` with its lines and tabs, and every other character visible.

    Args:
        text: The text from outside.
        indent: Precedes every line after the first, so that none can pass for a new message.
    """
    shown = _IN_LINES.sub(_shown, text.replace("\r\n", "\n"))
    return shown.replace("\n", f"\n{indent}") if indent else shown


def counted(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: `1 event`, `2 events`.

    Args:
        count: The number.
        noun: The singular.
        nouns: The plural; with an `s` if left out.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {nouns or noun + 's'}"


def wants_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether to use colours: unless `NO_COLOR` is set, or the terminal has none."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def escaped_json(text: str) -> str:
    r"""Return JSON with the same meaning in which every character is visible, as `\u202e`.

    Args:
        text: JSON; only its strings can contain such characters.
    """
    return text if text.isascii() and text.isprintable() else _IN_ONE_LINE.sub(_as_json, text)


def escaped_toml(text: str) -> str:
    r"""Return the inside of a basic TOML string in which every character is visible.

    Lone surrogates stay as they are: TOML has no way to write one.

    Args:
        text: The inside of a basic string, quotes and backslashes escaped already.
    """
    return _IN_TOML.sub(_as_toml, text)


def _shown(found: re.Match[str]) -> str:
    char = found[0]
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else _as_toml(found)


def _as_toml(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _as_json(found: re.Match[str]) -> str:
    char = found[0]
    if char == "\n":  # between values, as white space
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
