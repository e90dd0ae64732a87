"""Registers whose words other hosts see: what a lane has done is known to who takes it over."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from logs_in_memory import MemoryLogs

from sgevents_core.choices import OrderBy
from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.keys import CallKey
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.nats.nats_state import NatsState, NatsWriter
from sgevents_core.state.nats.shared_register import SharedWords
from sgevents_core.state.register import (
    APART_WORD,
    LANE_WORD,
    NotedLane,
    Register,
    lane_register_path,
    remove_register,
)

KEYS = [CallKey("notify", f"notify:on_{name}") for name in ("new", "change")]


class House:
    """Two hosts, and a register of each for the lane `main`."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.logs = MemoryLogs(["main"])
        self.states = [
            opened.enter_context(closing(NatsState(folder / name, lambda: self.logs, name)))
            for name in ("first", "second")
        ]
        self.writers: list[NatsWriter] = [
            opened.enter_context(closing(state.writer())) for state in self.states
        ]
        self.stopping = threading.Event()
        self._opened = opened

    def take(self, host: int, order_by: OrderBy | None = None) -> Register:
        """Take the lane, with a new register."""
        fence = self.writers[host].take_lane("main")
        register = Register(lane_register_path(self.states[host].folder, "main"), KEYS, order_by)
        self._opened.callback(register.close)
        self.writers[host].share_register(
            "main", fence, register, stopping=self.stopping, trouble=LaneTrouble("main")
        )
        return register

    def noted(self, host: int) -> NotedLane:
        """What a host finds when it takes the lane over."""
        self.writers[host].take_lane("main")
        return self.writers[host].noted_lane("main")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Two hosts."""
    with ExitStack() as opened:
        yield House(tmp_path, opened)


def test_call_that_has_begun_is_known_to_the_next_host(house: House) -> None:
    """It is stored before the call is made; what returned before goes with it."""
    slot = house.take(0).slots[0]
    slot.begun(LANE_WORD, 7, 0)
    slot.returned(LANE_WORD, 7, 0)
    slot.begun(LANE_WORD, 7, 1, attempt_number=3)
    call = house.noted(1).of().lane
    assert call is not None
    assert (call.seq, call.key, call.returned, call.attempt) == (7, KEYS[1], False, 3)
    assert call.before == (KEYS[0],)
    with pytest.raises(StaleWriter):
        slot.begun(LANE_WORD, 8, 0)


def test_each_strand_has_its_words(house: House) -> None:
    """Places of a divided lane, and calls of plugins that catch up in a strand."""
    register = house.take(0, "entity")
    register.slots[5].serve(2)
    register.slots[5].begun(LANE_WORD, 7, 0)
    register.slots[64].begun(APART_WORD, 3, 1)
    noted = house.noted(1)
    assert noted.order_by == "entity"
    assert noted.of(5).worker == 2
    live, apart = noted.of(5).lane, noted.of(64).apart
    assert live is not None
    assert apart is not None
    assert (live.seq, apart.seq, apart.key) == (7, 3, KEYS[1])


def test_new_register_makes_words_of_the_last_one_void(house: House) -> None:
    """A host that takes the lane over begins with nothing noted."""
    house.take(0).slots[0].begun(LANE_WORD, 7, 0)
    house.take(1)
    assert house.noted(0) == NotedLane(None, {})


def test_host_believes_its_own_register(house: House) -> None:
    """It says what was not sent, as long as no other host had the lane."""
    slot = house.take(0).slots[0]
    slot.begun(LANE_WORD, 7, 0)
    slot.returned(LANE_WORD, 7, 0)
    own = house.noted(0).of().lane
    assert own is not None
    assert own.returned
    path = lane_register_path(house.states[0].folder, "main")
    remove_register(path)
    shared = house.noted(0).of().lane
    assert shared is not None
    assert not shared.returned
    house.take(1).slots[0].begun(LANE_WORD, 9, 1)
    Register(path, KEYS).close()
    others = house.noted(0).of().lane
    assert others is not None
    assert others.seq == 9


@pytest.mark.parametrize("loss", ["answer", "message"])
def test_call_begins_only_when_its_word_is_stored(house: House, loss: str) -> None:
    """It waits while the outcome is not known; a lane that must end does not make the call."""
    slot = house.take(0).slots[0]
    house.logs.log("lane:main").losses = [loss, "message"]
    slot.begun(LANE_WORD, 7, 0)
    assert house.logs.log("lane:main").losses == []
    house.logs.log("lane:main").losses = [loss] * 2
    house.stopping.set()
    with pytest.raises(StateError):
        slot.begun(LANE_WORD, 8, 0)


def test_workers_words_go_together() -> None:
    """While one word is on its way, those of other workers wait, and then go in one message."""
    sent: list[Mapping[int, int]] = []
    is_sending, may_go_on = threading.Event(), threading.Event()

    def send(words: Mapping[int, int]) -> None:
        sent.append(words)
        is_sending.set()
        may_go_on.wait()

    shared = SharedWords(send, 0.0, threading.Event(), LaneTrouble("main"))
    numbers = [shared.note(place, place + 1) for place in range(1)]
    first = threading.Thread(target=shared.store, args=(numbers[0],))
    first.start()
    is_sending.wait()
    others = [
        threading.Thread(target=shared.store, args=(shared.note(place, place + 1),))
        for place in range(3, 6)
    ]
    for thread in others:
        thread.start()
    may_go_on.set()
    for thread in (first, *others):
        thread.join()
    assert sent[0] == {0: 1}
    assert sent[1:] == [{3: 4, 4: 5, 5: 6}]


def test_words_of_quick_calls_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that was stored lets quick calls begin for a while; after a slow one it does not."""
    seconds = 100.0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    sent: list[Mapping[int, int]] = []
    shared = SharedWords(sent.append, 0.02, threading.Event(), LaneTrouble("main"))
    assert not shared.may_gather(0.0)
    shared.store(shared.note(0, 1))
    assert shared.may_gather(0.0019)
    assert not shared.may_gather(0.002)
    seconds += 0.03
    assert not shared.may_gather(0.0)
    assert sent == [{0: 1}]
