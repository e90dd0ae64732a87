"""Recorded events: files of JSON lines, each a row of the event log as the site sent it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sgevents_core.errors import RecordedEventError
from sgevents_core.events import Event
from sgevents_core.printable import escaped_json


def load_events(path: Path | str) -> list[Event]:
    """Return the events in a file that `sgevents record` wrote, in the file's order.

    Raises:
        RecordedEventError: A line is not an event.
        OSError: The file cannot be read.
    """
    recorded_file = Path(path)
    row_texts = recorded_file.read_text("utf-8").split(
        "\n"
    )  # JSON may contain other line separators
    return [
        Event(_parse_row(recorded_file, line_number, row_text))
        for line_number, row_text in enumerate(row_texts, 1)
        if row_text.strip()
    ]


def recorded_text(rows: Iterable[Any]) -> str:
    """Return rows as the text of such a file, safe to show on a terminal."""
    return "".join(escaped_json(json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


def _parse_row(recorded_file: Path, line_number: int, row_text: str) -> dict[str, Any]:
    try:
        row = json.loads(row_text)
    except ValueError as error:
        raise RecordedEventError(path=recorded_file, line=line_number, reason=str(error)) from None
    if not isinstance(row, dict) or not isinstance(row.get("id"), int):
        reason = "it is not a JSON object with an id"
        raise RecordedEventError(path=recorded_file, line=line_number, reason=reason)
    return row
