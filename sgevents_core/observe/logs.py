"""How the daemon writes its log: for people on a terminal, as JSON where it is asked for."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from typing import Final

import msgspec

from sgevents_core.settings import LogSettings

ROOT: Final = "sgevents"
MOST_BYTES: Final = 10_000_000
"""Size at which a log file is rotated."""
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_RESET: Final = "\x1b[0m"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        at = datetime.fromtimestamp(record.created, timezone.utc)
        fields = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=repr).decode()


class HumanFormatter(logging.Formatter):
    """Time, level and sentence; in colour on a terminal; a plugin's traceback below it."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text for people."""
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname.lower():8}"
        if self._colour and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}{_RESET}"
        name = record.name.removeprefix("sgevents.plugin.")
        source = f"[{name}] " if name != record.name else ""
        text = f"{clock} {level} {source}{record.getMessage()}"
        trace = getattr(record, "traceback", "")
        if record.exc_info:
            trace = self.formatException(record.exc_info)
        return f"{text}\n{trace.rstrip()}" if trace else text


def configure(settings: LogSettings, *, verbose: bool = False) -> None:
    """Send the records of sgevents and its plugins where the config says.

    Args:
        settings: `[log]` of the config.
        verbose: Whether every call of a callback is told, whatever the config says.
    """
    handler: logging.Handler = logging.StreamHandler()
    if settings.file is not None:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            settings.file, maxBytes=MOST_BYTES, backupCount=settings.keep, encoding="utf-8"
        )
    handler.setFormatter(_formatter(settings))
    root = logging.getLogger(ROOT)
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.propagate = False
    root.setLevel("DEBUG" if verbose else settings.level.upper())
    for plugin, level in settings.levels.items():
        logging.getLogger(f"{ROOT}.plugin.{plugin}").setLevel(level.upper())


def _formatter(settings: LogSettings) -> logging.Formatter:
    if settings.format == "json":
        return JsonFormatter()
    terminal = settings.file is None and sys.stderr.isatty()
    return HumanFormatter(colour=terminal)
