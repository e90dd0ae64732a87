"""Read an event log with the unmodified client and do nothing with it: what all else is held to.

A script of its own (`python stock_reader.py URL ROWS`), so that nothing of sgevents is loaded.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from shotgun_api3.shotgun import Shotgun

if TYPE_CHECKING:
    from shotgun_api3.shotgun import OrderItem

FIELDS = [
    *("id", "event_type", "attribute_name", "meta", "entity", "user", "project"),
    *("session_uuid", "created_at"),
]


def read(url: str, rows: int) -> dict[str, float]:
    """Read so many rows, page after page; return the seconds that it took."""
    sg = Shotgun(url, script_name="bench", api_key="bench")
    processor_begin, clock_begin = time.process_time(), time.perf_counter()
    last_id = rows_read = 0
    while rows_read < rows:
        order: list[OrderItem] = [{"field_name": "id", "direction": "asc"}]
        page = sg.find("EventLogEntry", [["id", "greater_than", last_id]], FIELDS, order, limit=500)
        rows_read += len(page)
        last_id = page[-1]["id"]
    return {
        "processor": time.process_time() - processor_begin,
        "clock": time.perf_counter() - clock_begin,
        "rows": rows_read,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read(sys.argv[1], int(sys.argv[2]))))
