"""A lane whose state cannot be written for a while: it waits, and nothing is lost or repeated."""

from __future__ import annotations

import logging
import resource
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from lane_house import House
from waiting import PATIENCE, wait_until

from sgevents_core.errors import StateError
from sgevents_core.events import Event
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress

pytestmark = pytest.mark.disk


class Disk:
    """What stands for the disk: full, no file of this process can grow."""

    def __init__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        """Let every write fail."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, self._before[1]))

    def empty(self) -> None:
        """Let writes work again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """A disk with space on it."""
    made = Disk()
    yield made
    made.empty()


def said(caplog: pytest.LogCaptureFixture, action: str) -> int:
    """How many records have an action."""
    return sum(getattr(record, "action", "") == action for record in caplog.records)


def counting(event: Event, ctx: Any) -> None:
    """Count in the store."""
    ctx.store["n"] = ctx.store.get("n", 0) + 1


def test_lane_waits_until_there_is_space_again(
    house: House, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """A callback that has returned is not called again: what came of it is written later.

    That is told once, and so is the end of it.
    """
    caplog.set_level(logging.INFO, "sgevents")

    def fills(event: Event, ctx: Any) -> None:
        if event.id == 2:
            disk.fill()
        if event.id == 3:
            raise ValueError("no")

    house.plugin("alpha", fills, counting)
    with house.running():
        house.events(1, 2, 3)
        wait_until(lambda: said(caplog, "lane.not_written"))
        assert house.calls == ["1 alpha.fills", "1 alpha.counting", "2 alpha.fills",
                               "2 alpha.counting"]  # fmt: skip
        assert house.state.store("alpha") == {"n": 1}
        disk.empty()
        house.settle()
    assert house.calls[4:] == ["3 alpha.fills", "3 alpha.counting"]
    assert house.state.store("alpha") == {"n": 3}
    assert [letter.event_id for letter in house.state.dead_letters()] == [3]
    assert said(caplog, "lane.not_written") == said(caplog, "lane.written") == 1


def test_failure_is_written_when_there_is_space_again(
    house: House, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """A dead letter that could not be kept at once is kept, and told of, one time."""

    def fails(event: Event, ctx: Any) -> None:
        disk.fill()
        raise ValueError("no")

    house.plugin("alpha", fails, "last")
    with house.running():
        house.events(1)
        wait_until(lambda: said(caplog, "lane.not_written"))
        assert said(caplog, "callback.dead_lettered") == 0
        disk.empty()
        house.settle()
    assert house.calls == ["1 alpha.fails", "1 alpha.last"]
    assert [letter.event_id for letter in house.state.dead_letters()] == [1]
    assert said(caplog, "callback.dead_lettered") == 1


def test_stopped_while_it_waits_it_says_so_and_loses_nothing(
    house: House, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """The one call whose record could not be written is made again; what was before it is not."""

    def fills(event: Event, ctx: Any) -> None:
        if ctx.attempt == 1 and not house.calls[2:]:
            disk.fill()

    house.plugin("alpha", "first", fills, counting, "last")
    errors: list[BaseException] = []
    with house.running(errors):
        house.events(1, 2)
        wait_until(lambda: said(caplog, "lane.not_written"))
    assert [type(error) for error in errors] == [StateError]
    assert house.calls == ["1 alpha.first", "1 alpha.fills", "1 alpha.counting"]
    assert said(caplog, "lane.place_not_written") == 1
    disk.empty()
    house.run()
    assert house.calls[3:] == [
        "1 alpha.counting#2", "1 alpha.last", "2 alpha.first", "2 alpha.fills",
        "2 alpha.counting", "2 alpha.last",
    ]  # fmt: skip
    assert house.state.store("alpha") == {"n": 2}


def test_place_is_noted_where_only_one_step_could_not_be(house: House, disk: Disk) -> None:
    """A lane that ends on a failed write notes its place if that can be written after all."""
    free = threading.Event()

    def fills(event: Event, ctx: Any) -> None:
        ctx.store["big"] = "x" * 2_000_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, disk._before[1]))
        house.stop()
        free.set()

    house.plugin("alpha", "first", fills, "last")
    errors: list[BaseException] = []
    with house.running(errors):
        house.events(1)
        assert free.wait(PATIENCE)
    assert [type(error) for error in errors] == [StateError]
    assert house.state.lane_progress("default") == Progress.at(
        1, frozenset({CallKey("alpha", "alpha:first")})
    )
    disk.empty()
    house.plugin("alpha", "first", "fills", "last")
    house.run()
    assert house.calls == ["1 alpha.first", "1 alpha.fills", "1 alpha.fills#2", "1 alpha.last"]
