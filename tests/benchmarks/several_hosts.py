"""Benchmark 8: several hosts with their state on a NATS server, against one host with SQLite."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from event_rows import BEGIN, KINDS, encode_row
from measuring import Figure, Scale, measure_in_turns, median_figure, ratio_figure
from nats_server import NatsServer, running_nats
from nats_states import nats_state
from recorded_calls import measure_recorded_calls
from taking_over import measure_taking_over
from waiting import wait_until

from sgevents_core.state.entries import Row, TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import FeedWriter

_PAGE_ROWS: Final = 500


def measure_several_hosts(run_scale: Scale) -> list[Figure]:
    """Benchmark 8: rows appended, calls recorded, memory, and taking over."""
    with tempfile.TemporaryDirectory() as name, running_nats(Path(name)) as server:
        return [
            *measure_appending(run_scale, server),
            *measure_recorded_calls(run_scale, server),
            *measure_taking_over(run_scale, server),
        ]


def measure_appending(run_scale: Scale, server: NatsServer) -> list[Figure]:
    """Return how many rows a second a feed appends, in pages of 500."""
    pages = make_pages(max(run_scale.row_count // 2, 600))
    measurements = measure_in_turns(
        run_scale.repeat_count,
        {
            "SQLite": partial(append_to_disk, pages),
            "NATS": partial(append_to_server, pages, server),
        },
    )
    on_disk, on_server = measurements["SQLite"], measurements["NATS"]
    rates = {
        "to SQLite": tuple(measurement["appended"] for measurement in on_disk),
        "to a NATS server": tuple(measurement["appended"] for measurement in on_server),
        "to a NATS server, until a host's copy has them": tuple(
            measurement["copied"] for measurement in on_server
        ),
    }
    name = "rows appended to a NATS server"
    return [
        *(
            median_figure(8, f"rows appended {where}", measured, "a second")
            for where, measured in rates.items()
        ),
        ratio_figure(8, f"{name} / to SQLite", on_server, on_disk, of="appended"),
        ratio_figure(8, f"{name}, with the copy / to SQLite", on_server, on_disk, of="copied"),
    ]


def make_pages(rows: int) -> list[list[TakenRow]]:
    """Return pages of rows, as the feed has them from the site."""
    first_second = int(BEGIN.timestamp())
    late_rows = [
        TakenRow(
            Row(
                number + 1,
                first_second + number // 10,
                KINDS[number % len(KINDS)].event_type,
                encode_row(number, number + 1),
            ),
            False,
        )
        for number in range(rows)
    ]
    return [late_rows[first : first + _PAGE_ROWS] for first in range(0, rows, _PAGE_ROWS)]


def append_to_disk(pages: list[list[TakenRow]]) -> Mapping[str, float]:
    """Append pages to a journal in SQLite; return how many rows a second are `appended`."""
    with tempfile.TemporaryDirectory() as name:
        writer = open_state(Path(name)).writer()
        rates = _append(writer, pages, writer.end)
        writer.close()
    return rates


def append_to_server(pages: list[list[TakenRow]], server: NatsServer) -> Mapping[str, float]:
    """Append pages to a journal on a NATS server; return also how many a second are `copied`."""
    with (
        tempfile.TemporaryDirectory() as name,
        nats_state(server.port, Path(name), ["default"]) as state,
    ):
        writer = state.writer()
        rates = _append(writer, pages, writer.end)
        writer.close()
    return rates


def _append(
    writer: FeedWriter, pages: list[list[TakenRow]], read_end: Callable[[], int]
) -> Mapping[str, float]:
    end, row_count, began_at = 0, sum(map(len, pages)), time.perf_counter()
    for page in pages:
        newest = page[-1].row
        feed_state = FeedState(era=1, frontier=newest.id, anchor_at=newest.at)
        end = writer.append(end, page, FeedChange(feed_state))
    appended = time.perf_counter() - began_at
    wait_until(lambda: read_end() == end)
    copied = time.perf_counter() - began_at
    return {"appended": row_count / appended, "copied": row_count / copied}
