"""Values for tests of moving over: positions as the classic daemon has them, and old pickles."""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

UNTIL = datetime(2026, 11, 27, 9, 30, 15, 250_000)

ids = st.integers(0, 2**40)
stems = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,12}", fullmatch=True)
folders = st.from_regex(r"/[a-zéö/ ]{1,20}", fullmatch=True)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))
backlogs = st.dictionaries(ids, times, max_size=5)
positions = st.tuples(st.none() | ids, backlogs)
states = st.dictionaries(
    folders, st.dictionaries(stems, positions | ids, max_size=4) | ids, max_size=3
)


def as_python_2(value: Any, protocol: int) -> bytes:
    """Return the pickle that Python 2 writes of a value: texts are bytes, also within times.

    Only what the classic daemon stores is supported. Protocols 0 and 1 write times alike.
    """
    begin = b"" if protocol < 2 else b"\x80\x02"
    return begin + _of(value, protocol) + b"."


def _of(value: Any, protocol: int) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, int):
        return _number(value, protocol)
    if isinstance(value, str):
        return _text(value.encode(), protocol)
    if isinstance(value, tuple):
        items = b"".join(_of(item, protocol) for item in value)
        return b"(" + items + b"t" if protocol < 2 else items + b"\x86"
    if isinstance(value, datetime):
        return _time(value, protocol)
    assert isinstance(value, Mapping)
    pairs = [_of(key, protocol) + _of(each, protocol) for key, each in value.items()]
    if protocol == 0:
        return b"(d" + b"".join(pair + b"s" for pair in pairs)
    return b"}(" + b"".join(pairs) + b"u"


def _number(value: int, protocol: int) -> bytes:
    if protocol == 0 or value > 2**31 - 1:
        return f"L{value}L\n".encode() if protocol == 0 else _long(value, protocol)
    return b"J" + value.to_bytes(4, "little")


def _long(value: int, protocol: int) -> bytes:
    if protocol < 2:
        return f"L{value}L\n".encode()
    raw = value.to_bytes(8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _text(raw: bytes, protocol: int) -> bytes:
    if protocol == 0:
        quoted = "".join(
            chr(byte) if 31 < byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}"
            for byte in raw
        )
        return b"S'" + quoted.encode() + b"'\n"
    return b"U" + bytes([len(raw)]) + raw


def _time(value: datetime, protocol: int) -> bytes:
    raw = (
        value.year.to_bytes(2, "big")
        + bytes([value.month, value.day, value.hour, value.minute, value.second])
        + value.microsecond.to_bytes(3, "big")
    )
    packed = _text(raw, protocol)
    given = b"(" + packed + b"t" if protocol < 2 else packed + b"\x85"
    return b"cdatetime\ndatetime\n" + given + b"R"


def instructions_of(content: bytes) -> list[str]:
    """Return the names of a pickle's instructions."""
    return [code.name for code, _, _ in pickletools.genops(content)]
