"""The text of a log record: for people, or one JSON object per line."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from typing import Any, Final

import msgspec

from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import escaped_json, lines, one_line

PLUGIN_LOGGER: Final = "sgevents.plugin."
PRINTED_LOGGER: Final = "sgevents.printed"
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_RESET: Final = "\x1b[0m"
MOST_TEXT: Final = 65_536
"""The longest message or other field, in characters; the middle of a longer one is left out."""
_INDENT: Final = "    "
"""Precedes continuation lines, so that none can pass for a record of its own.

Nor can one pass for journald's `<0>`, which would give it a priority.
"""
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the record's own fields.

    Args:
        redact: Removes what must not be shown.
    """

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        at = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        fields |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return escaped_json(_json({key: self._shown(value) for key, value in fields.items()}))

    def _shown(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return _short(self._redact(value if isinstance(value, str) else _text(value)))


class HumanFormatter(logging.Formatter):
    """Time, level and sentence; in colour on a terminal; a plugin's traceback below it.

    Args:
        redact: Removes what must not be shown.
        colour: Whether warnings and errors are coloured.
    """

    def __init__(self, redact: Redactor, *, colour: bool = False) -> None:
        super().__init__()
        self._redact = redact
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text for people."""
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname.lower():8}"
        if self._colour and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}{_RESET}"
        trace = getattr(record, "traceback", "")
        if record.exc_info:
            trace = self.formatException(record.exc_info)
        text = _message(record)
        text = _short(self._redact(f"{text}\n{trace.rstrip()}" if trace else text))
        source = self._redact(_source(record))
        return f"{clock} {level} {source}{lines(text, indent=_INDENT)}"


def _short(text: str) -> str:
    """Return the beginning and end of a text that is too long for a line of a log."""
    if len(text) <= MOST_TEXT:
        return text
    left_out = len(text) - MOST_TEXT
    half = MOST_TEXT // 2
    return f"{text[:half]} … {left_out} characters left out … {text[-half:]}"


def _source(record: logging.LogRecord) -> str:
    """Return who wrote the message, if it was not the daemon."""
    if record.name.startswith(PLUGIN_LOGGER):
        return f"[{one_line(record.name.removeprefix(PLUGIN_LOGGER))}] "
    if record.name == PRINTED_LOGGER:
        return "[printed] "
    return "" if record.name.startswith("sgevents") else f"[{one_line(record.name)}] "


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # wrong arguments of a plugin must not lose its message
        return f"{record.msg} (its arguments do not fit: {_text(record.args)})"


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a plugin may log anything
        return f"({type(value).__name__})"


def _json(fields: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(fields).decode()
    except (ValueError, msgspec.MsgspecError):  # an integer too long to be written
        short = {k: v if isinstance(v, str) else _text(v) for k, v in fields.items()}
        return msgspec.json.encode(short).decode()
