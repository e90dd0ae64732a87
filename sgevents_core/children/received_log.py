"""Write the records and output of worker processes to the daemon's own log."""

from __future__ import annotations

import logging
from typing import Final

from sgevents_core.children.log_record import LogRecord
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
    """Logs one child's output line by line, in records that name the running call.

    Args:
        redact: Removes secrets from a line that is too long for one record.
    """

    def __init__(self, redact: Redactor) -> None:
        self._lines: Final = PrintedLines(redact)

    def take(self, received: bytes, call: CurrentCall | None) -> None:
        """Log the lines completed by new output.

        Args:
            received: The output since the last call.
            call: The running call.
        """
        self._lines.add(received, _fields_of(call))

    def end(self, call: CurrentCall | None) -> None:
        """Log the remaining output, even without a line end."""
        self._lines.end(_fields_of(call))


def _fields_of(call: CurrentCall | None) -> dict[str, object]:
    if call is None:
        return {}
    fields: dict[str, object] = {"plugin": call.plugin, "callback": call.callback}
    if call.event_id is not None:
        fields["event_id"] = call.event_id
    return fields
