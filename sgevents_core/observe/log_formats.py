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
CLASSIC_LOGGER: Final = "plugin"
"""The parent of the loggers passed to classic plugins."""
PLUGIN_LOGGERS: Final = (PLUGIN_LOGGER, f"{CLASSIC_LOGGER}.")
"""The prefix of the names of plugins' loggers."""
PRINTED_LOGGER: Final = "sgevents.printed"
_LEVEL_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_COLOUR_RESET: Final = "\x1b[0m"
MAX_TEXT_LENGTH: Final = 65_536
"""The longest message or other field, in characters; the middle of a longer one is left out."""
_CONTINUATION_INDENT: Final = "    "
"""The prefix of continuation lines, so that none can pass for a record of its own.

Nor can such a line begin with `<0>`, which journald would read as a priority.
"""
_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the record's own fields.

    Args:
        redactor: Removes secrets.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        created_at = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": created_at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        fields |= own_fields(record)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return escaped_json(
            _encoded_json({key: self._json_value(value) for key, value in fields.items()})
        )

    def _json_value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return _shortened(self._redactor(value if isinstance(value, str) else _safe_repr(value)))


class HumanFormatter(logging.Formatter):
    """Time, level and sentence; in colour on a terminal; a plugin's traceback below it.

    Args:
        redactor: Removes secrets.
        use_colour: Whether warnings and errors are coloured.
    """

    def __init__(self, redactor: Redactor, *, use_colour: bool = False) -> None:
        super().__init__()
        self._redactor = redactor
        self._use_colour = use_colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text for people."""
        clock_time = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level_name = f"{record.levelname.lower():8}"
        if self._use_colour and record.levelname in _LEVEL_COLOURS:
            level_name = f"{_LEVEL_COLOURS[record.levelname]}{level_name}{_COLOUR_RESET}"
        traceback_text = getattr(record, "traceback", "")
        if record.exc_info:
            traceback_text = self.formatException(record.exc_info)
        full_text = message_of(record)
        full_text = _shortened(
            self._redactor(
                f"{full_text}\n{traceback_text.rstrip()}" if traceback_text else full_text
            )
        )
        prefix = self._redactor(_source_prefix(record))
        return f"{clock_time} {level_name} {prefix}{lines(full_text, indent=_CONTINUATION_INDENT)}"


def _shortened(full_text: str) -> str:
    """Return the beginning and end of a text that is too long for a line of a log."""
    if len(full_text) <= MAX_TEXT_LENGTH:
        return full_text
    omitted_count = len(full_text) - MAX_TEXT_LENGTH
    half = MAX_TEXT_LENGTH // 2
    return f"{full_text[:half]} … {omitted_count} characters left out … {full_text[-half:]}"


def _source_prefix(record: logging.LogRecord) -> str:
    """Return the source of a message as a prefix; empty for the daemon's own."""
    if record.name.startswith(PLUGIN_LOGGER):
        return f"[{one_line(record.name.removeprefix(PLUGIN_LOGGER))}] "
    if record.name == PRINTED_LOGGER:
        return "[printed] "
    return "" if record.name.startswith("sgevents") else f"[{one_line(record.name)}] "


def own_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the extra fields of a record, without those that every record has."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}


def message_of(record: logging.LogRecord) -> str:
    """Return the message of a record, even if its arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:  # a plugin's message must survive wrong arguments
        return f"{record.msg} (its arguments do not fit: {_safe_repr(record.args)})"


def _safe_repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a plugin may log anything
        return f"({type(value).__name__})"


def _encoded_json(fields: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(fields).decode()
    except (ValueError, msgspec.MsgspecError):  # an integer too long to be written
        encodable_fields = {
            key: value if isinstance(value, str) else _safe_repr(value)
            for key, value in fields.items()
        }
        return msgspec.json.encode(encodable_fields).decode()
