"""Benchmark 4: what a callback, and an event that nobody wants, cost in a lane."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from catching_up import daemon
from event_rows import BEGIN, KINDS, encoded_row
from journal_rows import grow
from lane_house import House, opened_house
from lean_site import lean_site
from measuring import Figure, Scale, figure, in_turns, ratio

from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.state.entries import Row

_FEW: Final = 1
_MANY: Final = 11
_ELSEWHERE: Final = Match(event_type=("Shotgun_Sequence_*",))
_OTHER_FIELD: Final = Match(entity_type=("Task",), attribute=("sg_never_set",))


def nothing(event: Event, ctx: Any) -> None:
    """Do nothing, as a callback."""


def handled(events: int, *matches: Match) -> Mapping[str, float]:
    """Let a lane handle events for plugins with one callback each; return the time it took.

    Args:
        events: How many.
        matches: The filter of each plugin.
    """
    with tempfile.TemporaryDirectory() as folder, opened_house(Path(folder)) as house:
        for number, match in enumerate(matches):
            plugin = house.plugin(f"plugin{number:03}", nothing, match=match)
            plugin.callbacks = [replace(one, function=nothing) for one in plugin.callbacks]
        house.run()  # plugins join at the journal's end
        fill(house, events)
        with house.running():
            begin = time.process_time()
            house.settle()
            taken = time.process_time() - begin
    return {"processor": taken}


def fill(house: House, events: int) -> None:
    """Put events into the journal as the feed does."""
    at = int(BEGIN.timestamp())
    for first in range(0, events, 500):
        numbers = range(first, min(first + 500, events))
        kinds = [KINDS[number % len(KINDS)].event_type for number in numbers]
        grow(
            house.state,
            [
                Row(number + 1, at + number // 10, kind, encoded_row(number, number + 1))
                for number, kind in zip(numbers, kinds, strict=True)
            ],
        )


def plain_calls(calls: int) -> Mapping[str, float]:
    """Call the function itself so often."""
    event: Any = None
    begin = time.process_time()
    for _ in range(calls):
        nothing(event, None)
    return {"processor": time.process_time() - begin}


def costs(scale: Scale) -> list[Figure]:
    """Benchmark 4: cost of a matching callback and of an unwanted event; growth with plugins."""
    events = max(scale.rows // 10, 500)
    every = Match()
    measures: dict[str, Callable[[], Mapping[str, float]]] = {
        "plain": lambda: plain_calls(events * (_MANY - _FEW)),
        "few": lambda: handled(events, *[every] * _FEW),
        "many": lambda: handled(events, *[every] * _MANY),
        "one unwanted": lambda: handled(events, _OTHER_FIELD),
        "ten unwanted": lambda: handled(events, *[_OTHER_FIELD] * 5, *[_ELSEWHERE] * 5),
        "fifty unwanted": lambda: handled(events, *[_OTHER_FIELD] * 25, *[_ELSEWHERE] * 25),
    }
    takes = in_turns(scale.repeats + 2 if scale.repeats > 1 else 1, measures)
    spent = {name: [take["processor"] for take in taken] for name, taken in takes.items()}
    beyond = tuple(
        (many - few - plain) / events / (_MANY - _FEW) * 1e6
        for many, few, plain in zip(spent["many"], spent["few"], spent["plain"], strict=True)
    )
    unwanted = tuple(seconds / events * 1e6 for seconds in spent["ten unwanted"])
    growth = takes["fifty unwanted"], takes["one unwanted"]
    rows = max(scale.rows // 2, 600)
    with lean_site(rows) as site:
        whole = in_turns(scale.repeats, {"daemon": lambda: daemon(site, rows, is_wanted=False)})
    in_all = tuple(take["processor"] / rows * 1e6 for take in whole["daemon"])
    return [
        figure(4, "a matching callback beyond its function, with its record", beyond, "us", "<= 4"),
        figure(4, "an event that none of ten plugins wants, in its lane", unwanted, "us", "<= 8"),
        figure(4, "the same, from the site on, with all that the daemon does", in_all, "us"),
        ratio(4, "an unwanted event, 50 plugins / 1 plugin", *growth, of="processor"),
    ]
