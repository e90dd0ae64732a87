"""The values that a pickle of the classic daemon may hold, made from their bytes.

Nothing that a pickle names is called; what it may name stands for one of these values.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

TIME_CLASS: Final = object()
"""Stands for the class `datetime.datetime`, which is never called."""
ENCODE_FUNCTION: Final = object()
"""Stands for `_codecs.encode`, with which old protocols write bytes."""
KNOWN_NAMES: Final = {
    ("datetime", "datetime"): TIME_CLASS,
    ("_codecs", "encode"): ENCODE_FUNCTION,
}
_LATIN_NAMES: Final = frozenset({"latin1", "latin-1", "iso-8859-1"})
LONGEST_NUMBER: Final = 20
"""The most digits or bytes of a number; ids have fewer."""
_TIME_LENGTH: Final = 10
_LONGEST_NAME: Final = 100


class RefusedPickleError(Exception):
    """The pickle requests an object, `name`, that the file may not contain."""

    def __init__(self, refused_name: str) -> None:
        Exception.__init__(self, refused_name[:_LONGEST_NAME])
        self.name = refused_name[:_LONGEST_NAME]


class BrokenPickleError(Exception):
    """The data is not a pickle, or is incomplete."""


def whole_number(number_text: bytes) -> int:
    """Return the number that digits stand for."""
    if len(number_text) > LONGEST_NUMBER:
        raise BrokenPickleError("a number is too long")
    return int(number_text)


def encoded_bytes(call_arguments: tuple[Any, ...]) -> bytes:
    """Return the bytes that old protocols write as a text to be encoded."""
    number_text, text_encoding = call_arguments if len(call_arguments) == 2 else (None, None)
    if type(number_text) is not str or text_encoding not in _LATIN_NAMES:
        raise RefusedPickleError("a call of _codecs.encode with other arguments")
    return number_text.encode("latin-1")


def time_of(call_arguments: tuple[Any, ...]) -> datetime:
    """Return the time that the arguments of `datetime` in a pickle stand for."""
    packed_time = call_arguments[0] if len(call_arguments) == 1 else None
    if type(packed_time) is not bytes or len(packed_time) != _TIME_LENGTH:
        raise RefusedPickleError("a time with a time zone, or of another form")
    month = packed_time[2] & 0x7F  # its highest bit says which of two equal times it is
    day, hour, minute, second = packed_time[3:7]
    microsecond = int.from_bytes(packed_time[7:], "big")
    return datetime(
        packed_time[0] << 8 | packed_time[1], month, day, hour, minute, second, microsecond
    )


def kind_of(any_value: Any) -> str:
    """Return what a value is, for people."""
    if any_value is None or any_value is TIME_CLASS or any_value is ENCODE_FUNCTION:
        return "no text and no number"
    return f"a {type(any_value).__name__}"
