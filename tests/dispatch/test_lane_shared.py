"""What all plugins of a process share, and a callback would take away or change."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from lane_house import House

from sgevents_core.events import Event
from sgevents_core.observe.shared import kept_whole


def descriptors(folder: Path) -> list[int]:
    """Return the open descriptors of files in a folder."""
    found = []
    for entry in [*Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            if str(entry.readlink()).startswith(f"{folder.resolve()}{os.sep}"):
                found.append(int(entry.name))
    return found


def close_each(folder: Path) -> None:
    """Close them one by one."""
    for descriptor in descriptors(folder):
        os.close(descriptor)


def raising_trace(*args: Any) -> NoReturn:
    """A trace function that raises, which Python then removes."""
    raise ValueError("no")


def idle_trace(*args: Any) -> Any:
    """A trace function that follows everything."""
    return idle_trace


def close_ranges(folder: Path) -> None:
    """Close them range by range, and another file with the first."""
    first, *others = descriptors(folder)
    devnull = os.open(os.devnull, os.O_RDONLY)
    for descriptor in (first, *others):
        os.closerange(descriptor, descriptor + 1)
    os.closerange(devnull, devnull + 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(devnull)


ACTS: dict[str, Callable[[Path], None]] = {
    "os.close": close_each,
    "os.closerange": close_ranges,
    "sys.setrecursionlimit": lambda folder: sys.setrecursionlimit(60),
    "sys.setswitchinterval": lambda folder: sys.setswitchinterval(100),
}


@pytest.mark.parametrize("function", ACTS)
def test_call_that_would_hurt_all_is_not_heeded(
    house: House, caplog: pytest.LogCaptureFixture, function: str
) -> None:
    """All files of the state stay open, all threads go on; the plugin is named once."""
    before = (sys.getrecursionlimit(), sys.getswitchinterval())

    def hurts(event: Event, ctx: Any) -> None:
        opened = descriptors(house.folder)
        ACTS[function](house.folder)
        assert descriptors(house.folder) == opened

    house.plugin("alpha", hurts, start=1)
    house.plugin("other", "run", start=1)
    house.events(1, 2)
    with kept_whole(house.folder):
        house.run()
    assert house.state.dead_letters() == []
    assert (sys.getrecursionlimit(), sys.getswitchinterval()) == before
    told = [one for one in caplog.records if vars(one).get("action") == "plugin.not_heeded"]
    assert [vars(one)["function"] for one in told] == [function]


def test_trace_function_of_a_plugin_ends_with_its_call(house: House) -> None:
    """It would be run on the daemon's own code, line by line."""
    before, seen = sys.gettrace(), []

    def traces(event: Event, ctx: Any) -> None:
        sys.settrace(idle_trace if event.id == 1 else raising_trace)

    def looks(event: Event, ctx: Any) -> None:
        seen.append(sys.gettrace())

    house.plugin("alpha", traces, looks, start=1)
    house.events(1, 2)
    house.run()
    assert seen == [before, before]


def test_event_is_the_same_for_the_next_plugin(house: House) -> None:
    """Whatever one does to what it reads of it."""
    seen = []

    def changes(event: Event, ctx: Any) -> None:
        event.meta["type"] = "changed"
        event.row.clear()
        (event.entity or {})["id"] = 0
        with contextlib.suppress(TypeError):
            event["id"] = 0  # type: ignore[index]  # on purpose

    def looks(event: Event, ctx: Any) -> None:
        seen.append((event.id, event.meta.get("type"), event.row["id"]))

    house.plugin("alpha", changes, start=1)
    house.plugin("beta", looks, start=1)
    house.events(1)
    house.run()
    assert [(event, row) for event, kind, row in seen if kind != "changed"] == [(1, 1)]
