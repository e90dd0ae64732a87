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

_CONTROL_CHARACTERS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0, DEL and C1 (including CSI), without tab and newline."""
_INVISIBLE_CHARACTERS: Final = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f"
)
"""Characters that reorder, hide or break text: bidi controls, zero widths, line separators, tags.

Joiners (U+200C, U+200D) stay, since scripts and emoji are written with them.
"""
_SURROGATES: Final = "\ud800-\udfff"
"""Lone surrogates, which UTF-8 cannot encode."""

_ESCAPED_IN_LINES: Final = re.compile(
    f"[{_CONTROL_CHARACTERS}{_INVISIBLE_CHARACTERS}{_SURROGATES}]"
)
_ESCAPED_IN_ONE_LINE: Final = re.compile(
    f"[\t\n{_CONTROL_CHARACTERS}{_INVISIBLE_CHARACTERS}{_SURROGATES}]"
)
_ESCAPED_IN_TOML: Final = re.compile(
    f"[\t\n{_CONTROL_CHARACTERS}{_INVISIBLE_CHARACTERS}]"
)  # TOML cannot escape surrogates
_SHORT_ESCAPES: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def one_line(text: object) -> str:
    r"""Return `text` as one line in which every character is visible: an ESC becomes `\x1b`.

    Args:
        text: The text from outside; anything else is converted with `str`.
    """
    shown_text = text if isinstance(text, str) else str(text)
    return (
        shown_text
        if shown_text.isascii() and shown_text.isprintable()
        else _ESCAPED_IN_ONE_LINE.sub(_python_escape, shown_text)
    )


def lines(text: str, *, indent: str = "") -> str:
    """Return `text` with its lines and tabs, and every other character visible.

    Args:
        text: The text from outside.
        indent: Precedes every line after the first, so that none can pass for a new message.
    """
    shown_text = _ESCAPED_IN_LINES.sub(_python_escape, text.replace("\r\n", "\n"))
    return shown_text.replace("\n", f"\n{indent}") if indent else shown_text


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun: `1 event`, `2 events`.

    Args:
        count: The number.
        singular: The singular.
        plural: The plural; with an `s` if left out.
    """
    return f"{count} {singular}" if count == 1 else f"{count} {plural or singular + 's'}"


def wants_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether to use colours: unless `NO_COLOR` is set, or the terminal has none."""
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def escaped_json(text: str) -> str:
    r"""Return JSON with the same meaning in which every character is visible, as `\u202e`.

    Args:
        text: JSON; only its strings can contain such characters.
    """
    return (
        text
        if text.isascii() and text.isprintable()
        else _ESCAPED_IN_ONE_LINE.sub(_json_escape, text)
    )


def escaped_toml(text: str) -> str:
    r"""Return the inside of a basic TOML string in which every character is visible.

    Lone surrogates stay as they are: TOML has no way to write one.

    Args:
        text: The inside of a basic string, quotes and backslashes escaped already.
    """
    return _ESCAPED_IN_TOML.sub(_toml_escape, text)


def _python_escape(character_match: re.Match[str]) -> str:
    character = character_match[0]
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code_point = ord(character)
    return f"\\x{code_point:02x}" if code_point < 0x100 else _toml_escape(character_match)


def _toml_escape(character_match: re.Match[str]) -> str:
    code_point = ord(character_match[0])
    return f"\\u{code_point:04x}" if code_point < 0x10000 else f"\\U{code_point:08x}"


def _json_escape(character_match: re.Match[str]) -> str:
    character = character_match[0]
    if character == "\n":  # between values, as white space
        return character
    utf16_digits = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(
        f"\\u{utf16_digits[unit_start : unit_start + 4]}"
        for unit_start in range(0, len(utf16_digits), 4)
    )
