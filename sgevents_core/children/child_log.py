"""The log of a worker process: each record goes to the daemon, which writes it with its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from sgevents_core.children.channel import ChannelClosed
from sgevents_core.children.log_record import LogRecord
from sgevents_core.observe.current_call import current_call
from sgevents_core.observe.log_formats import message_of, own_fields

_PLAIN: Final = (str, bool, int, float)
_LONGEST: Final = 65_536
"""The most characters sent of a text in a record; the daemon shortens it further."""
_FORMATTER: Final = logging.Formatter()


class ChildOutlet(logging.Handler):
    """The handler that sends records to the daemon.

    Args:
        send: Sends a message; raises ChannelClosed in a process that a plugin has forked.
    """

    def __init__(self, send: Callable[[LogRecord], None]) -> None:
        super().__init__()
        self._send = send

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Create no lock: a plugin's code must not run under one."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Send the record."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Send the record; print it in a process that a plugin has forked."""
        sent = _sent(record)
        try:
            self._send(sent)
        except ChannelClosed:
            with suppress(Exception):
                sys.stderr.write(f"{sent.text}\n")
        except (ValueError, TypeError, OverflowError, msgspec.MsgspecError):
            fields = {name: repr(value) for name, value in sent.fields.items()}
            with suppress(ChannelClosed):
                self._send(msgspec.structs.replace(sent, fields=fields))


def _sent(record: logging.LogRecord) -> LogRecord:
    fields = {name: _plain(value) for name, value in own_fields(record).items()}
    if record.exc_info:
        with suppress(Exception):  # a plugin's error may fail to print
            fields["traceback"] = _FORMATTER.formatException(record.exc_info)[-_LONGEST:]
    call = current_call()
    if call is not None and fields.setdefault("plugin", call.plugin) == call.plugin:
        fields.setdefault("callback", call.callback)
        if call.event_id is not None:
            fields.setdefault("event_id", call.event_id)
    text = message_of(record)
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return LogRecord(
        logger=record.name,
        level=record.levelno,
        text=_encodable(short),
        created=record.created,
        fields=fields,
    )


def _plain(value: Any) -> Any:
    """Return a value that can be sent: numbers and texts as they are, anything else as text."""
    if value is None or type(value) in _PLAIN:
        return _encodable(value[:_LONGEST]) if type(value) is str else value
    try:
        return _encodable(repr(value)[:_LONGEST])
    except Exception:  # a plugin may log anything
        return f"({type(value).__name__})"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
