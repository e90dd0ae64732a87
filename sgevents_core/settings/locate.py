"""Finds the line of a key in a TOML text, which the TOML reader does not say.

The text has been read before, so it is taken to be valid TOML; nothing is checked here.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import tomli

from sgevents_core.settings.spelling import BARE_KEY

Where: TypeAlias = tuple[str | int, ...]
"""A place in the data: keys of tables, and indexes from 0 in arrays: `("groups", 1, "lane")`."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)
_PLAIN: Final = re.compile(r"[^,\]}\n#]+")


class Locator:
    """The lines of all keys of one TOML text."""

    def __init__(self, text: str) -> None:
        """Go through `text` once."""
        self._text = text
        self._at = 0
        self._lines: dict[Where, int] = {}
        self._arrays: dict[Where, int] = {}
        self._read_statements()

    def line(self, where: Where) -> int | None:
        """Return the line, from 1, where `where` or the nearest thing around it is written."""
        for length in range(len(where), 0, -1):
            line = self._lines.get(where[:length])
            if line is not None:
                return line
        return None

    def _read_statements(self) -> None:
        table: Where = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._read_header()
            else:
                self._read_pair(table)
            self._skip_blank()

    def _read_header(self) -> Where:
        line = self._line_here()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._read_keys()
        self._at += 2 if is_array else 1
        *outer, last = keys
        where = (*self._inside((), outer), last)
        for length in range(1, len(where)):
            self._note(where[:length], line)
        if not is_array:
            self._note(where, line)
            return where
        index = self._arrays.get(where, -1) + 1
        self._arrays[where] = index
        self._note(where, line)
        self._note((*where, index), line)
        return (*where, index)

    def _inside(self, table: Where, keys: list[str]) -> Where:
        """Follow `keys` from `table`, into the newest element of every array of tables."""
        for key in keys:
            table = (*table, key)
            if table in self._arrays:
                table = (*table, self._arrays[table])
        return table

    def _read_pair(self, table: Where) -> None:
        line = self._line_here()
        for key in self._read_keys():
            table = (*table, key)
            self._note(table, line)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._read_value(table)

    def _read_value(self, where: Where) -> None:
        start = self._text[self._at]
        if start == "[":
            self._read_array(where)
        elif start == "{":
            self._read_inline_table(where)
        else:
            match = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            self._at = match.end() if match else len(self._text)

    def _read_array(self, where: Where) -> None:
        index = 0
        self._at += 1
        while self._goes_on("]"):
            self._note((*where, index), self._line_here())
            self._read_value((*where, index))
            index += 1

    def _read_inline_table(self, where: Where) -> None:
        self._at += 1
        while self._goes_on("}"):
            self._read_pair(where)

    def _goes_on(self, end: str) -> bool:
        """Step to the next element; past `end`, and False, if there is none."""
        self._skip_blank()
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip_blank()
        if self._at < len(self._text) and self._text[self._at] != end:
            return True
        self._at += 1
        return False

    def _read_keys(self) -> list[str]:
        keys = []
        while True:
            self._skip_blank()
            match = BARE_KEY.match(self._text, self._at) or _STRING.match(self._text, self._at)
            word = match.group() if match else ""
            self._at += len(word)
            keys.append(_unquote(word) if word[:1] in {'"', "'"} else word)
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _note(self, where: Where, line: int) -> None:
        self._lines.setdefault(where, line)

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        if match:
            self._at = match.end()

    def _line_here(self) -> int:
        return self._text.count("\n", 0, self._at) + 1


def _unquote(word: str) -> str:
    return str(tomli.loads(f"key = {word}")["key"])
