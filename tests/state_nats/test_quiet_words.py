"""Words of registers, which copies read many at a time: nobody needs them at once."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from logs_in_memory import MemoryLogs
from nats_server import NatsServer
from nats_states import nats_state
from waiting import PATIENCE, wait_until

from sgevents_core.state.keys import CallKey
from sgevents_core.state.lane_trouble import LaneTrouble
from sgevents_core.state.nats import copy_reader
from sgevents_core.state.nats.broker_logs import BrokerLogs
from sgevents_core.state.nats.connection import Listener
from sgevents_core.state.nats.exchange import Reply
from sgevents_core.state.nats.nats_state import NatsState
from sgevents_core.state.progress import Progress
from sgevents_core.state.register import LANE_WORD, Register, Slot, lane_register_path
from sgevents_core.state.steps import Step


def share_slot(state: NatsState, opened: ExitStack, lane_name: str) -> tuple[Slot, int]:
    """Take a lane; return the first slot of its register, which is shared, and the fence."""
    writer = opened.enter_context(closing(state.lane_writer()))
    fence = writer.take_lane(lane_name)
    keys = [CallKey("notify", "notify:on_new")]
    register = Register(lane_register_path(state.folder, lane_name), keys)
    opened.callback(register.close)
    writer.share_register(
        lane_name, fence, register, stopping=threading.Event(), trouble=LaneTrouble("main")
    )
    return register.slots[0], fence


def note_news(logs: BrokerLogs, monkeypatch: pytest.MonkeyPatch) -> dict[int, list[str | None]]:
    """Listen to logs; return what is reported of each message from now on, by its place."""
    news: list[str | None] = []
    news_by_place: dict[int, list[str | None]] = {}
    listen = logs._broker.listen

    def listen_noting(subject: str, take_hint: Listener) -> None:
        def take_and_note(hint: Reply | None) -> None:
            news.clear()
            take_hint(hint)
            assert hint is not None, "the connection was lost"
            news_by_place[int(hint.headers["Nats-Sequence"])] = list(news)

        listen(subject, take_and_note)

    with monkeypatch.context() as patched:
        patched.setattr(logs._broker, "listen", listen_noting)
        logs.listen(news.append)
    return news_by_place


def test_words_are_no_news(
    nats_server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host is not woken for each call of a lane, but for the lane's steps."""
    with ExitStack() as opened:
        state = opened.enter_context(nats_state(nats_server.port, tmp_path, ["default"]))
        slot, fence = share_slot(state, opened, "default")
        logs = state.session().logs
        assert isinstance(logs, BrokerLogs)
        shared_at = logs.log("lane:default").last_sequence()
        news_by_place = note_news(logs, monkeypatch)
        for seq in range(1, 5):
            slot.begun(LANE_WORD, seq, 0)
        writer = opened.enter_context(closing(state.lane_writer()))
        writer.record("default", fence, Step(progress=Progress(4)))
        *word_places, step_place = range(
            shared_at + 1, logs.log("lane:default").last_sequence() + 1
        )
        wait_until(lambda: step_place in news_by_place)
        assert {place: news_by_place[place] for place in word_places} == {
            place: [] for place in word_places
        }
        assert word_places
        assert news_by_place[step_place] == ["lane:default"]


def test_what_waits_for_words_gets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message made from a copy that had words is applied at once elsewhere, after the words."""
    monkeypatch.setattr(copy_reader, "_POLL_INTERVAL", 3600.0)
    logs = MemoryLogs(["main"])
    with ExitStack() as opened:
        writing, reading = (
            opened.enter_context(closing(NatsState(tmp_path / name, lambda: logs, name)))
            for name in ("writing", "reading")
        )
        slot, _ = share_slot(writing, opened, "main")
        reading.session()  # it has read everything, and waits for news
        slot.begun(LANE_WORD, 1, 0)
        writing.session().reader.wake()
        writing.session().copy.wait_for(logs.last_places(), PATIENCE)
        assert reading.session().copy.positions != logs.last_places()
        writer = opened.enter_context(closing(writing.writer()))
        writer.set_aside("7", "it cannot be read", "journal", 1.0)
        wait_until(lambda: reading.session().copy.positions == logs.last_places())
