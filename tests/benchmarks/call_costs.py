"""Benchmark 4: what a callback, and an event that nobody wants, cost in a lane."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from catching_up import drain_with_daemon
from event_rows import encode_row
from journal_rows import grow
from lane_house import House, opened_house
from lean_site import running_lean_site
from measuring import Figure, Scale, measure_in_turns, median_figure, ratio_figure
from msgspec import Raw

from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.site.row_decoding import decode_rows

_FEW: Final = 1
_MANY: Final = 11
_ELSEWHERE: Final = Match(event_type=("Shotgun_Sequence_*",))
_OTHER_FIELD: Final = Match(entity_type=("Task",), attribute=("sg_never_set",))


def nothing(event: Event, ctx: Any) -> None:
    """Do nothing, as a callback."""


def measure_lane(events: int, *matches: Match) -> Mapping[str, float]:
    """Let a lane handle events for plugins with one callback each; return its thread's time.

    Args:
        events: How many.
        matches: The filter of each plugin.
    """
    with tempfile.TemporaryDirectory() as folder, opened_house(Path(folder)) as house:
        for number, match in enumerate(matches):
            plugin = house.plugin(f"plugin{number:03}", nothing, match=match)
            plugin.callbacks = [replace(one, function=nothing) for one in plugin.callbacks]
        house.run()  # plugins join at the journal's end
        fill_journal(house, events)
        lane_seconds: list[float] = []

        def run_timed(run_lane: Callable[[], None]) -> None:
            begin = time.thread_time()
            run_lane()
            lane_seconds.append(time.thread_time() - begin)

        house.around_lanes = run_timed
        with house.running():
            house.settle()
    return {"processor": lane_seconds[0]}


def fill_journal(house: House, events: int) -> None:
    """Put events into the journal as the feed does."""
    for first in range(0, events, 500):
        numbers = range(first, min(first + 500, events))
        records = [Raw(encode_row(number, number + 1)) for number in numbers]
        grow(house.state, decode_rows(records).rows.values())


def measure_plain_calls(calls: int) -> Mapping[str, float]:
    """Call the function itself so often."""
    event: Any = None
    begin = time.process_time()
    for _ in range(calls):
        nothing(event, None)
    return {"processor": time.process_time() - begin}


def measure_call_costs(run_scale: Scale) -> list[Figure]:
    """Benchmark 4: cost of a matching callback and of an unwanted event; growth with plugins."""
    events = max(run_scale.row_count // 10, 500)
    match_all = Match()
    measured_actions: dict[str, Callable[[], Mapping[str, float]]] = {
        "plain": lambda: measure_plain_calls(events * (_MANY - _FEW)),
        "few": lambda: measure_lane(events, *[match_all] * _FEW),
        "many": lambda: measure_lane(events, *[match_all] * _MANY),
        "one unwanted": lambda: measure_lane(events, _OTHER_FIELD),
        "ten unwanted": lambda: measure_lane(events, *[_OTHER_FIELD] * 5, *[_ELSEWHERE] * 5),
        "fifty unwanted": lambda: measure_lane(events, *[_OTHER_FIELD] * 25, *[_ELSEWHERE] * 25),
    }
    measurements = measure_in_turns(
        run_scale.repeat_count + 2 if run_scale.repeat_count > 1 else 1, measured_actions
    )
    seconds_by_name = {
        name: [measurement["processor"] for measurement in measured]
        for name, measured in measurements.items()
    }
    callback_costs = tuple(
        (many - few - plain) / events / (_MANY - _FEW) * 1e6
        for many, few, plain in zip(
            seconds_by_name["many"], seconds_by_name["few"], seconds_by_name["plain"], strict=True
        )
    )
    unwanted_costs = tuple(seconds / events * 1e6 for seconds in seconds_by_name["ten unwanted"])
    growth_measurements = measurements["fifty unwanted"], measurements["one unwanted"]
    rows = max(run_scale.row_count // 2, 600)
    with running_lean_site(rows) as site:
        daemon_measurements = measure_in_turns(
            run_scale.repeat_count,
            {"daemon": lambda: drain_with_daemon(site, rows, is_wanted=False)},
        )
    costs_from_site = tuple(
        measurement["processor"] / rows * 1e6 for measurement in daemon_measurements["daemon"]
    )
    return [
        median_figure(
            4,
            "a matching callback beyond its function, with its record",
            callback_costs,
            "us",
            "<= 4",
        ),
        median_figure(
            4, "an event that none of ten plugins wants, in its lane", unwanted_costs, "us", "<= 8"
        ),
        median_figure(
            4, "the same, from the site on, with all that the daemon does", costs_from_site, "us"
        ),
        ratio_figure(
            4, "an unwanted event, 50 plugins / 1 plugin", *growth_measurements, of="processor"
        ),
    ]
