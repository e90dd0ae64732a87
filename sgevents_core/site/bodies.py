"""JSON from a site, readable even if a single value in it is not.

A value that Python cannot represent becomes null or text, so that the rest stays readable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

DEEPEST_LEVEL: Final = 100
"""Levels of lists and objects that are kept; deeper ones become null."""
LONGEST_INTEGER: Final = 1000
"""The most digits of an integer; a longer one becomes text."""
_STRING_OR_BRACKET: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL)
"""A whole string, whose brackets do not count, or a bracket."""


def decoded(body: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        json_text = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    return json.loads(
        _without_deep_parts(json_text).decode("utf-8", "replace"),
        parse_int=_bounded_integer,
        strict=False,
    )


class _Results(Struct, gc=False):
    entities: list[Raw]
    paging_info: Any = None


class _RowsAnswer(Struct, gc=False):
    results: _Results
    exception: Any = None


_decode_row: Final = msgspec.json.Decoder(dict[str, Any]).decode
_decode_rows: Final = msgspec.json.Decoder(_RowsAnswer).decode


def answer_with_raw_rows(body: bytes | str) -> Any:
    """Return an answer of the site, decoded but for its rows, which stay JSON (`msgspec.Raw`).

    An answer without rows, or one that cannot be read this way, is decoded completely.

    Raises:
        ValueError: The text is not JSON.
    """
    try:
        if not body.isascii() and isinstance(body, bytes):
            body.decode()  # rows left as JSON are not checked yet
        answer = _decode_rows(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return decoded(body)
    if answer.exception is not None:
        return decoded(body)
    results = answer.results
    return {"results": {"entities": results.entities, "paging_info": results.paging_info}}


def encoded(record: Any) -> bytes:
    """Return a row as JSON in UTF-8 that any reader can parse."""
    try:
        body = msgspec.json.encode(record)
    except UnicodeEncodeError:
        body = msgspec.json.encode(_in_whole_characters(record))
    return (
        _without_deep_parts(body) if body.count(b"[") + body.count(b"{") > DEEPEST_LEVEL else body
    )


def decoded_row(body: bytes) -> dict[str, Any]:
    """Return a stored row; lone surrogates in it stay as they are.

    Raises:
        ValueError: The stored text is not JSON.
        msgspec.ValidationError: The JSON is not a row.
    """
    try:
        return _decode_row(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.convert(decoded(body), dict[str, Any])


def in_whole_characters(json_text: str) -> str:
    """Return the text with `?` in place of lone surrogates."""
    return json_text if json_text.isascii() else json_text.encode("utf-8", "replace").decode()


def _without_deep_parts(body: bytes) -> bytes:
    """Return a JSON text with null in place of parts that are nested too deeply."""
    kept_parts, kept_until = [], 0
    for part_start, part_end in _deep_parts(body):
        kept_parts += [body[kept_until:part_start], b"null"]
        kept_until = part_end
    return b"".join([*kept_parts, body[kept_until:]])


def _deep_parts(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each part of a JSON text that is nested too deeply."""
    nesting_depth = start = 0
    for json_token in _STRING_OR_BRACKET.finditer(body):
        if json_token[0] in b"[{":
            nesting_depth += 1
            start = json_token.start() if nesting_depth == DEEPEST_LEVEL + 1 else start
        elif json_token[0] in b"]}":
            if nesting_depth == DEEPEST_LEVEL + 1:
                yield start, json_token.end()
            nesting_depth -= 1


def _bounded_integer(digit_text: str) -> int | str:
    return int(digit_text) if len(digit_text) <= LONGEST_INTEGER else digit_text


def _in_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return in_whole_characters(value)
    if isinstance(value, dict):
        return {
            in_whole_characters(item_key): _in_whole_characters(v) for item_key, v in value.items()
        }
    return (
        [_in_whole_characters(item_value) for item_value in value]
        if isinstance(value, list)
        else value
    )
