"""What worker processes log and print, in the daemon's own log."""

from __future__ import annotations

import logging
from typing import Final

from sgevents_core.children.messages import LogRecord
from sgevents_core.observe.current_call import CurrentCall
from sgevents_core.observe.printed_output import PrintedLines
from sgevents_core.observe.redaction import Redactor


def log_received(received: LogRecord) -> None:
    """Log a record that a child has sent, as if it had been logged here."""
    logger = logging.getLogger(received.logger)
    if not logger.isEnabledFor(received.level):
        return
    record = logging.LogRecord(
        received.logger, received.level, "", 0, received.text, (), None, None, None
    )
    record.created = received.created
    fields = vars(record)
    fields.update({name: value for name, value in received.fields.items() if name not in fields})
    logger.handle(record)


class PrintedByChild:
    """What one child prints, line by line, as records that name the call it is in.

    Args:
        redact: Removes secrets from a line that is too long for one record.
    """

    def __init__(self, redact: Redactor) -> None:
        self._lines: Final = PrintedLines(redact)

    def take(self, received: bytes, call: CurrentCall | None) -> None:
        """Log the lines that are complete now.

        Args:
            received: What was printed since.
            call: The running call.
        """
        self._lines.add(received, _fields_of(call))

    def end(self, call: CurrentCall | None) -> None:
        """Log what is left, though its line has no end."""
        self._lines.end(_fields_of(call))


def _fields_of(call: CurrentCall | None) -> dict[str, object]:
    if call is None:
        return {}
    fields: dict[str, object] = {"plugin": call.plugin, "callback": call.callback}
    if call.event_id is not None:
        fields["event_id"] = call.event_id
    return fields
