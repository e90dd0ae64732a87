"""What a power cut costs: nothing of what was brought to the disk, whatever lanes are doing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lane_house import House, opened_house
from power_cut import Disk
from waiting import PATIENCE

from sgevents_core.events import Event

pytestmark = pytest.mark.disk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk under the state."""
    return Disk(monkeypatch)


@pytest.fixture
def house(disk: Disk, tmp_path: Path) -> Iterator[House]:
    """A state on that disk."""
    folder = tmp_path / "state"
    folder.mkdir()
    with opened_house(folder) as opened:
        yield opened


class Slow:
    """A callback that stays in its call for one event until it may end."""

    def __init__(self, event_id: int) -> None:
        self.entered = threading.Event()
        self.goes_on = threading.Event()
        self._event_id = event_id

    def __call__(self, event: Event, ctx: Any) -> None:
        """Be called."""
        if event.id == self._event_id:
            self.entered.set()
            assert self.goes_on.wait(PATIENCE)

    __name__ = "slow"


def counting(event: Event, ctx: Any) -> None:
    """Count the events in the store."""
    ctx.store["seen"] = ctx.store.get("seen", 0) + 1


@contextmanager
def cut_during(house: House, disk: Disk, slow: Slow) -> Iterator[House]:
    """Cut the power half a second after a slow call has begun; give what the next boot finds."""
    after = house.folder.with_name("after")
    with house.running():
        assert slow.entered.wait(PATIENCE)
        house.sync()
        disk.cut(house.folder, after)
        slow.goes_on.set()
    with opened_house(after) as found:
        found.plugins = house.plugins
        house.calls.clear()
        yield found


def furnish(house: House, slow: Callable[[Event, Any], None], **table: Any) -> None:
    """Let a plugin that counts go before one that is slow."""
    house.plugin("a", counting, "note")
    house.plugin("b", "first", slow, "last", **table)


def test_what_returned_before_a_slow_call_is_not_repeated(house: House, disk: Disk) -> None:
    """A lane that is inside a call is synced as well: only that call is made again."""
    slow = Slow(3)
    furnish(house, slow)
    house.run()
    house.events(1, 2, 3)
    with cut_during(house, disk, slow) as found:
        assert found.state.store("a") == {"seen": 3}
        found.run()
    assert house.calls == ["3 b.slow", "3 b.last"]


@pytest.mark.parametrize("limit", [None, 60.0])
def test_plugin_that_catches_up_repeats_nothing(
    house: House, disk: Disk, limit: float | None
) -> None:
    """Where a plugin is on its own way is synced, too, while its lane stands still."""
    slow = Slow(60)
    furnish(house, slow, timeout=limit)
    house.run()
    house.plugins["b"].broken = True
    house.events(*range(1, 101))
    house.run()
    house.plugins["b"].broken = False
    house.calls.clear()
    with cut_during(house, disk, slow) as found:
        assert found.records()["b"].cursor == 59
        found.run()
    assert house.calls[0] == "60 b.slow"
    assert len(house.calls) == 2 + 3 * 40


def test_retry_after_a_hold_is_synced(house: House, disk: Disk) -> None:
    """What a held plugin did when it was called again is not done a third time."""
    slow = Slow(2)
    failed: list[int | None] = []

    def fails_once(event: Event, ctx: Any) -> None:
        if not failed:
            failed.append(event.id)
            raise ConnectionError

    house.plugin("a", "note")
    house.plugin("b", fails_once, slow)
    house.run()
    house.events(1, 2)
    with cut_during(house, disk, slow) as found:
        found.run()
    assert house.calls == ["2 b.slow"]


def test_nothing_is_written_where_nothing_has_happened(house: House, disk: Disk) -> None:
    """An idle daemon does not keep the disk awake."""
    furnish(house, Slow(0))
    house.run()
    house.events(1)
    with house.running():
        house.settle()
        house.sync()
        taken: list[Path] = []
        disk.take = taken.append  # type: ignore[assignment, method-assign]
        wal = house.folder / "sgevents.db-wal"
        before = wal.read_bytes()
        for _ in range(3):
            house.sync()
        assert not taken
        assert wal.read_bytes() == before
