"""What all plugins of a process share, and a callback would take away or change."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from lane_house import House

from sgevents_core.events import Event
from sgevents_core.observe.process_guard import guarded_process, keep_open


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


def replace_one(folder: Path) -> None:
    """Put another file in the place of one, and let output go there and back."""
    with Path(os.devnull).open("wb") as devnull:
        with pytest.raises(OSError, match="needs this descriptor"):
            os.dup2(devnull.fileno(), descriptors(folder)[0])
        before = os.dup(1)
        os.dup2(devnull.fileno(), 1)
        os.dup2(before, 1)
        os.close(before)


def become(folder: Path) -> None:
    """Become another program."""
    with pytest.raises(PermissionError, match="end the daemon"):
        os.execlp("true", "true")


def limit(folder: Path) -> None:
    """Lower what the process may have; raising and asking are left alone."""
    kind = resource.RLIMIT_FSIZE
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (10, before[1]))
    resource.prlimit(os.getpid(), kind, (10, before[1]))
    resource.setrlimit(kind, before)
    assert resource.getrlimit(kind) == resource.prlimit(0, kind) == before


ACTS: dict[str, Callable[[Path], None]] = {
    "os.close": close_each,
    "os.closerange": close_ranges,
    "os.dup2": replace_one,
    "os.execv": become,
    "resource.setrlimit": limit,
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
    with guarded_process(house.folder):
        house.run()
    assert house.state.dead_letters() == []
    assert (sys.getrecursionlimit(), sys.getswitchinterval()) == before
    told = [one for one in caplog.records if vars(one).get("action") == "plugin.not_heeded"]
    assert [vars(one)["function"] for one in told] == [function]


def test_files_that_the_daemon_has_opened_elsewhere_stay_open(house: House, tmp_path: Path) -> None:
    """Logs, pipes and the standard streams too: what is opened next would take their places."""
    with (tmp_path / "log").open("wb") as log, guarded_process(house.folder):
        reads, writes = os.pipe()
        keep_open(reads, writes)

        def hurts(event: Event, ctx: Any) -> None:
            os.closerange(0, max(reads, writes, log.fileno()) + 1)
            os.close(log.fileno())

        house.plugin("alpha", hurts, start=1)
        house.events(1)
        house.run()
        for descriptor in (0, 1, 2, reads, writes, log.fileno()):
            os.fstat(descriptor)
        os.close(reads)
        os.close(writes)
    assert house.state.dead_letters() == []


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
        if event.entity is not None:
            event.entity["id"] = 0
        with contextlib.suppress(TypeError):
            event["id"] = 0  # type: ignore[index]  # on purpose

    def looks(event: Event, ctx: Any) -> None:
        seen.append((event.id, event.meta.get("type"), event.row["id"]))

    house.plugin("alpha", changes, start=1)
    house.plugin("beta", looks, start=1)
    house.events(1)
    house.run()
    assert [(event, row) for event, kind, row in seen if kind != "changed"] == [(1, 1)]
