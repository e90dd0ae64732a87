"""Values of a row as the stock client's `find` gives them, made from what the site sent.

The client turns timestamps into datetimes at any depth, `&lt;` in texts of fields into `<`, and
gives links to local files their path on this platform. Doing so twice changes nothing: rows that
earlier versions stored after parts of it read the same.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from typing import Any, Final

from sgevents_core.moments import to_local_time

_PLATFORMS: Final = {"linux": "linux", "darwin": "mac", "win32": "windows"}
_LOCAL_PATH: Final = f"local_path_{_PLATFORMS.get(sys.platform, sys.platform)}"
"""The key of a link to a local file that holds its path on this platform."""
_STAMP: Final = re.compile(
    r"(\d{4})-(0[1-9]|1[0-2])-([12]\d|0[1-9]|3[01])T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)Z",
    re.IGNORECASE,
)
_STAMP_LENGTH: Final = 20


def stock_text(text: str) -> str:
    """Return the text of a field."""
    return text.replace("&lt;", "<")


def stock_field(value: Any) -> Any:
    """Return a copy of a field's value, or the value itself if it is nested too deeply."""
    value = stock_value(value)
    if isinstance(value, str):
        return stock_text(value)
    if isinstance(value, dict) and value.get("link_type") == "local" and _LOCAL_PATH in value:
        path = value[_LOCAL_PATH]
        value |= {"local_path": path, "url": f"file://{path or ''}"}
    return value


def stock_value(value: Any) -> Any:
    """Return a copy of a value inside a field, or the value itself if nested too deeply."""
    try:
        return _stock_copy(value)
    except RecursionError:
        return value


def _stock_copy(value: Any) -> Any:
    if isinstance(value, str):
        return _moment(value) if len(value) == _STAMP_LENGTH else value
    if isinstance(value, dict):
        return {key: _stock_copy(item) for key, item in value.items()}
    return [_stock_copy(item) for item in value] if isinstance(value, list) else value


def _moment(text: str) -> datetime | str:
    found = _STAMP.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return to_local_time(datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc))
    except ValueError:  # the 30th of February, the year 0
        return text
