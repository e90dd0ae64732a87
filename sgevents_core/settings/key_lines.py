"""Find the line of a key in a TOML document, which tomli does not report.

The text has been parsed before, so it is valid TOML; nothing is checked here.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import tomli

from sgevents_core.settings.spelling import BARE_KEY_PATTERN

KeyPath: TypeAlias = tuple[str | int, ...]
"""A place in the data: keys of tables, and indexes from 0 in arrays: `("groups", 1, "lane")`."""

_BLANK_PATTERN: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING_PATTERN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)
_PLAIN_VALUE_PATTERN: Final = re.compile(r"[^,\]}\n#]+")


class KeyLocator:
    """The lines of all keys of one TOML text."""

    def __init__(self, toml_text: str) -> None:
        """Go through `toml_text` once."""
        self._toml_text = toml_text
        self._offset = 0
        self._line_numbers: dict[KeyPath, int] = {}
        self._array_indexes: dict[KeyPath, int] = {}
        self._read_statements()

    def line_of(self, key_path: KeyPath) -> int | None:
        """Return the line, from 1, where `key_path` or the nearest thing around it is written."""
        for path_length in range(len(key_path), 0, -1):
            line_number = self._line_numbers.get(key_path[:path_length])
            if line_number is not None:
                return line_number
        return None

    def _read_statements(self) -> None:
        table_path: KeyPath = ()
        self._skip_blanks()
        while self._offset < len(self._toml_text):
            if self._toml_text[self._offset] == "[":
                table_path = self._read_table_header()
            else:
                self._read_pair(table_path)
            self._skip_blanks()

    def _read_table_header(self) -> KeyPath:
        line_number = self._current_line()
        is_array_table = self._toml_text.startswith("[[", self._offset)
        self._offset += 2 if is_array_table else 1
        header_keys = self._read_keys()
        self._offset += 2 if is_array_table else 1
        *outer_keys, last_key = header_keys
        key_path = (*self._newest_element((), outer_keys), last_key)
        for path_length in range(1, len(key_path)):
            self._record_line(key_path[:path_length], line_number)
        if not is_array_table:
            self._record_line(key_path, line_number)
            return key_path
        index = self._array_indexes.get(key_path, -1) + 1
        self._array_indexes[key_path] = index
        self._record_line(key_path, line_number)
        self._record_line((*key_path, index), line_number)
        return (*key_path, index)

    def _newest_element(self, table_path: KeyPath, header_keys: list[str]) -> KeyPath:
        """Follow `header_keys` from `table_path`, into the newest element of each array."""
        for key in header_keys:
            table_path = (*table_path, key)
            if table_path in self._array_indexes:
                table_path = (*table_path, self._array_indexes[table_path])
        return table_path

    def _read_pair(self, table_path: KeyPath) -> None:
        line_number = self._current_line()
        for key in self._read_keys():
            table_path = (*table_path, key)
            self._record_line(table_path, line_number)
        self._offset += 1  # the equals sign
        self._skip_blanks()
        self._read_value(table_path)

    def _read_value(self, key_path: KeyPath) -> None:
        first_character = self._toml_text[self._offset]
        if first_character == "[":
            self._read_array(key_path)
        elif first_character == "{":
            self._read_inline_table(key_path)
        else:
            token_match = _STRING_PATTERN.match(
                self._toml_text, self._offset
            ) or _PLAIN_VALUE_PATTERN.match(self._toml_text, self._offset)
            self._offset = token_match.end() if token_match else len(self._toml_text)

    def _read_array(self, key_path: KeyPath) -> None:
        index = 0
        self._offset += 1
        while self._has_next_element("]"):
            self._record_line((*key_path, index), self._current_line())
            self._read_value((*key_path, index))
            index += 1

    def _read_inline_table(self, key_path: KeyPath) -> None:
        self._offset += 1
        while self._has_next_element("}"):
            self._read_pair(key_path)

    def _has_next_element(self, closing_bracket: str) -> bool:
        """Step to the next element; past `closing_bracket`, and False, if there is none."""
        self._skip_blanks()
        if self._toml_text.startswith(",", self._offset):
            self._offset += 1
            self._skip_blanks()
        if self._offset < len(self._toml_text) and self._toml_text[self._offset] != closing_bracket:
            return True
        self._offset += 1
        return False

    def _read_keys(self) -> list[str]:
        header_keys = []
        while True:
            self._skip_blanks()
            token_match = BARE_KEY_PATTERN.match(
                self._toml_text, self._offset
            ) or _STRING_PATTERN.match(self._toml_text, self._offset)
            key_text = token_match.group() if token_match else ""
            self._offset += len(key_text)
            header_keys.append(_unquote_key(key_text) if key_text[:1] in {'"', "'"} else key_text)
            self._skip_blanks()
            if not self._toml_text.startswith(".", self._offset):
                return header_keys
            self._offset += 1

    def _record_line(self, key_path: KeyPath, line_number: int) -> None:
        self._line_numbers.setdefault(key_path, line_number)

    def _skip_blanks(self) -> None:
        token_match = _BLANK_PATTERN.match(self._toml_text, self._offset)
        if token_match:
            self._offset = token_match.end()

    def _current_line(self) -> int:
        return self._toml_text.count("\n", 0, self._offset) + 1


def _unquote_key(key_text: str) -> str:
    return str(tomli.loads(f"key = {key_text}")["key"])
