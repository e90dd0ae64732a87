"""Hosts that write to one state: who may, what is not known, and what nobody can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from journal_rows import event_row
from logs_in_memory import MemoryLogs
from nats_server import NatsServer, new_site_url, running_nats
from nats_sites import nats_site
from nats_states import nats_state
from state_values import failure
from waiting import wait_until

from sgevents_core.errors import (
    BrokerUnreachable,
    MessageTooNew,
    StaleWriter,
    StateError,
    StreamLost,
)
from sgevents_core.settings import load_settings
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import FeedChange, FeedState
from sgevents_core.state.nats.jetstream import call
from sgevents_core.state.nats.messages import VERSION, FirstCursors, encode_message
from sgevents_core.state.nats.nats_state import NatsState, NatsWriter
from sgevents_core.state.nats.requests import NatsRequests
from sgevents_core.state.nats.storage import CopyStorage
from sgevents_core.state.opening import kept_open, open_state, open_storage, use_state
from sgevents_core.state.progress import Progress
from sgevents_core.state.requests import RequestAnswer, RequestStep
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server for the tests of this module."""
    with running_nats(tmp_path_factory.mktemp("nats"), jetstream="") as running:
        yield running


@pytest.fixture
def hosts(server: NatsServer, tmp_path: Path) -> Iterator[list[NatsWriter]]:
    """What two hosts write with, on one site."""
    url = new_site_url()
    with ExitStack() as opened:
        states = [
            opened.enter_context(
                nats_state(
                    server.port, tmp_path / name, ["main"], site_url=url, host=name, make=not number
                )
            )
            for number, name in enumerate(["first", "second"])
        ]
        yield [opened.enter_context(closing(state.writer())) for state in states]


def count(number: int) -> Step:
    """A step that counts in the store."""
    return Step(progress=Progress(number), store={"notify": {"n": number}})


def page(*ids: int) -> tuple[list[TakenRow], FeedChange]:
    """Rows, and the feed's state after them."""
    return [TakenRow(event_row(number), 0) for number in ids], FeedChange(
        FeedState(frontier=ids[-1])
    )


def sees(writer: NatsWriter, number: int) -> None:
    """Wait until a host's copy has a count."""
    wait_until(lambda: writer.store("notify") == {"n": number}, what="the other host's step")


def test_host_that_takes_a_lane_over_is_the_only_one_to_write_it(hosts: list[NatsWriter]) -> None:
    """The other one's next step is refused and in nobody's copy; it may take the lane again."""
    first, second = hosts
    fence = first.take_lane("main")
    first.record("main", fence, count(1))
    newer = second.take_lane("main")
    assert second.store("notify") == {"n": 1}
    with pytest.raises(StaleWriter, match="lane main"):
        first.record("main", fence, count(7))
    with pytest.raises(StaleWriter):
        first.record("main", fence, count(8))
    second.record("main", newer, count(2))
    sees(first, 2)
    newest = first.take_lane("main")
    first.record("main", newest, count(3))
    with pytest.raises(StaleWriter):
        second.record("main", newer, count(9))
    sees(second, 3)


def test_feed_that_was_taken_over_stays_so(hosts: list[NatsWriter]) -> None:
    """Its connection is refused for good; one that is opened later takes over again."""
    first, second = hosts
    assert first.append(0, *page(1, 2)) == 2
    assert second.append(2, *page(3)) == 3
    for expected in (2, 3):
        with pytest.raises(StaleWriter, match="the journal"):
            first.append(expected, *page(4))
    wait_until(lambda: first.end() == 3, what="the other host's row")
    with closing(NatsWriter(first._session)) as again:
        assert again.append(3, *page(4)) == 4
    with pytest.raises(StaleWriter):
        first.append(4, *page(5))


def test_request_is_seen_and_answered_on_any_host(hosts: list[NatsWriter]) -> None:
    """Its number is the same everywhere, and so is the answer, which comes from one of them."""
    first, second = hosts
    with closing(NatsRequests(second._session)) as asking:
        number = asking.ask("pause", "notify", {"reason": "broken"}, "anna@host")
        fence = first.take_lane("main")
        with closing(NatsRequests(first._session)) as waiting:
            wait_until(lambda: waiting.get(number), what="the request on the other host")
        answered = RequestStep(number, answer=RequestAnswer("done", "paused"))
        first.record("main", fence, Step(request=answered))
        wait_until(lambda: asking.answer_of(number), what="the answer")


def memory_state(folder: Path, logs: MemoryLogs, host: str = "here") -> NatsState:
    """A host's state on logs in memory."""
    return NatsState(folder, lambda: logs, host)


@pytest.mark.parametrize("loss", ["answer", "message"])
def test_step_whose_outcome_is_not_known_is_written_once(tmp_path: Path, loss: str) -> None:
    """Tried again, it is the same step with the same number, and another one comes after it."""
    logs = MemoryLogs(["main"])
    with closing(memory_state(tmp_path, logs)) as state, closing(state.writer()) as writer:
        fence = writer.take_lane("main")
        step = Step(failure=failure(), store={"notify": {"n": 1}})
        logs.log("lane:main").losses = [loss, loss]
        for _ in range(2):
            with pytest.raises(StateError):
                writer.record("main", fence, step)
        number = writer.record("main", fence, step)
        with closing(state.past()) as past:
            assert [kept.number for kept in past.failures(101)] == [number]
        second = count(2)
        logs.log("lane:main").losses = [loss]
        with pytest.raises(StateError):
            writer.record("main", fence, second)
        writer.record("main", fence, second)
        writer.record("main", fence, count(3))
        assert (writer.store("notify"), writer.lane_progress("main")) == ({"n": 3}, Progress(3))
        assert logs.log("lane:main").last_sequence() == 4


@pytest.mark.parametrize("loss", ["answer", "message"])
def test_nothing_is_written_to_a_lane_before_what_nobody_knows_of(
    tmp_path: Path, loss: str
) -> None:
    """A worker whose step has got no answer may give up, with the store as it was before the step.

    What other workers write rests on that store, so none of it is written until the very same step
    was sent again, also not if that would find out that it is stored.
    """
    logs = MemoryLogs(["main"])
    with closing(memory_state(tmp_path, logs)) as state, closing(state.writer()) as writer:
        fence = writer.take_lane("main")
        first, second = (Step(store={"notify": {"n": number}}) for number in (1, 2))
        logs.log("lane:main").losses = [loss]
        with pytest.raises(StateError):
            writer.record("main", fence, first)
        for _ in range(2):
            with pytest.raises(StateError):
                writer.record("main", fence, second)
            with pytest.raises(StateError):
                writer.advance("main", fence, lambda recorded: second)
        writer.record("main", fence, first)
        writer.record("main", fence, second)
        assert writer.store("notify") == {"n": 2}
        assert logs.log("lane:main").last_sequence() == 3


@pytest.mark.parametrize("loss", ["answer", "message"])
def test_page_whose_outcome_is_not_known_is_appended_once(tmp_path: Path, loss: str) -> None:
    """Tried again with the same change, or followed by another, its rows are there once."""
    logs = MemoryLogs([])
    with closing(memory_state(tmp_path, logs)) as state, closing(state.writer()) as writer:
        writer.append(0, *page(1))
        rows, change = page(2, 3)
        logs.log("journal").losses = [loss]
        with pytest.raises(StateError):
            writer.append(1, rows, change)
        assert writer.append(1, rows, change) == 3
        logs.log("journal").losses = [loss]
        with pytest.raises(StateError):
            writer.append(3, *page(4))
        assert writer.append(4, *page(5)) == 5
        assert [entry.event_id for entry in writer.read(0, 9)] == [1, 2, 3, 4, 5]


def test_message_of_a_newer_version_stops_the_copy(tmp_path: Path) -> None:
    """It names the host to upgrade; nothing after it is read or written."""
    logs = MemoryLogs(["main"])
    with ExitStack() as opened:
        state = opened.enter_context(closing(memory_state(tmp_path, logs, "render07")))
        writer = opened.enter_context(closing(state.writer()))
        fence = writer.take_lane("main")
        data = bytearray(encode_message(FirstCursors({"notify": 1})))
        data[1:3] = (VERSION + 1).to_bytes(2, "big")
        logs.log("requests").append("x", bytes(data), 0, "newer/1")
        failed = state.session().copy
        wait_until(lambda: failed.failure, what="the copy's end")
        with pytest.raises(MessageTooNew, match="upgrade sgevents on render07"):
            writer.plugins()
        with pytest.raises(MessageTooNew):
            writer.record("main", fence, count(1))


def test_two_processes_of_a_host_keep_one_copy(tmp_path: Path) -> None:
    """Each applies what it finds first; what is applied is not applied again."""
    logs = MemoryLogs(["main"])
    with ExitStack() as opened:
        one, two = (opened.enter_context(closing(memory_state(tmp_path, logs))) for _ in range(2))
        writer, other = (opened.enter_context(closing(state.writer())) for state in (one, two))
        fence = writer.take_lane("main")
        for number in range(1, 30):
            writer.record("main", fence, Step(failure=failure(attempt=number)))
            with closing(two.requests()) as requests:
                requests.ask("pause", "notify", {}, "anna@host")
        with closing(one.requests()) as requests:
            wait_until(lambda: len(requests.waiting()) == 29, what="all requests")
        assert len(other.attempts()) == len(writer.attempts()) == 1
        with closing(two.past()) as past:
            assert len(past.failures(101)) == 29


def test_configuration_with_servers_opens_the_shared_state(
    server: NatsServer, tmp_path: Path
) -> None:
    """Everything that asks for the state of its folder gets it, and its copy is in that folder."""
    url = new_site_url()
    config = tmp_path / "sgevents.toml"
    config.write_text(
        f"[site]\nurl = '{url}'\nscript_name = 's'\napi_key = 'k'\n"
        f"[state]\npath = 'own'\nurl = '{server.url}'\nhost = 'render01'\n"
    )
    with nats_state(server.port, tmp_path / "other", ["main"], site_url=url, make=True) as other:
        with closing(other.requests()) as requests:
            requests.ask("pause", "notify", {}, "anna@host")
        settings = load_settings(config)
        use_state(settings)
        state = open_state(settings.state.path)
        assert isinstance(state, NatsState)
        with kept_open(state), closing(state):
            with closing(state.requests()) as requests:
                assert [asked.plugin for asked in requests.waiting()] == ["notify"]
            assert open_storage(settings.state.path).is_outdated() is False
            assert (tmp_path / "own" / "copy" / "sgevents.db").exists()


def test_copy_is_read_while_the_servers_are_away(tmp_path: Path) -> None:
    """People see what the host knew last; whoever wants to write is told the reason."""
    with ExitStack() as opened:
        server = opened.enter_context(running_nats(tmp_path / "nats", jetstream=""))
        url, folder = new_site_url(), tmp_path / "own"
        with (
            nats_state(server.port, folder, ["main"], site_url=url) as state,
            closing(state.writer()) as writer,
        ):
            writer.record("main", writer.take_lane("main"), count(1))
            writer.end()
        server.kill()
        with nats_state(server.port, folder, [], site_url=url, make=False, within=0.2) as state:
            with closing(state.reader()) as reader, closing(state.past()), closing(state.letters()):
                assert reader.store("notify") == {"n": 1}
            with pytest.raises(BrokerUnreachable):
                state.writer()


def test_stream_that_was_made_anew_is_lost(tmp_path: Path) -> None:
    """A process that starts later notices, even if the new stream has grown longer."""
    with ExitStack() as opened:
        server = opened.enter_context(running_nats(tmp_path / "nats", jetstream=""))
        url, folder = new_site_url(), tmp_path / "own"
        with nats_state(server.port, folder, ["main"], site_url=url) as state:
            session = state.session()
            wait_until(lambda: "lane:main" in session.copy.identities(), what="the stream's sign")
        with nats_site(server.port, url) as site:
            call(site.broker, "STREAM.DELETE", stream=site.names.lane("main"))
            site.make_streams(["main"])
        with (
            nats_state(server.port, folder, [], site_url=url, make=False) as state,
            pytest.raises(StreamLost, match="made anew"),
        ):
            state.session()


def test_copy_of_other_servers_is_not_mixed_up_with_these(
    tmp_path: Path, nats_server: NatsServer
) -> None:
    """A `url` that names the servers of another studio is noticed, and both states stay apart."""
    url, folder = new_site_url(), tmp_path / "own"
    with nats_state(nats_server.port, folder, ["main"], site_url=url) as state:
        session = state.session()
        wait_until(lambda: "journal" in session.copy.identities(), what="the stream's sign")
        with closing(state.writer()) as writer:
            writer.append(0, *page(1, 2))
            writer.end()
    with running_nats(tmp_path / "nats", jetstream="") as server:
        with (
            nats_state(server.port, tmp_path / "theirs", ["main"], site_url=url) as state,
            closing(state.writer()) as writer,
        ):
            writer.append(0, *page(7, 8, 9))
        with (
            nats_state(server.port, folder, [], site_url=url, make=False) as state,
            pytest.raises(StreamLost, match=r"url in \[state\] names other servers than before"),
        ):
            state.session()
    with (
        nats_state(nats_server.port, folder, [], site_url=url, make=False) as state,
        closing(state.reader()) as reader,
    ):
        assert [entry.event_id for entry in reader.read(0, 9)] == [1, 2]


def test_backup_of_the_copy_is_a_state_of_one_host(tmp_path: Path) -> None:
    """A studio that needs several hosts no longer puts it into a folder, and goes on there."""
    logs = MemoryLogs(["main"])
    folder = tmp_path / "alone"
    folder.mkdir()
    with closing(memory_state(tmp_path / "shared", logs)) as state:
        with closing(state.writer()) as writer:
            writer.append(0, *page(1, 2))
            number = writer.record("main", writer.take_lane("main"), Step(failure=failure()))
            with closing(state.requests()) as requests:
                asked = requests.ask("pause", "notify", {}, "anna@host")
            writer.end()
        assert CopyStorage(tmp_path / "shared").back_up(folder / DATABASE) > 0
    alone = open_state(folder)
    with closing(alone.writer()) as writer, closing(alone.requests()) as requests:
        assert [entry.event_id for entry in writer.read(0, 9)] == [1, 2]
        assert writer.append(2, *page(3)) == 3
        assert writer.record("main", writer.take_lane("main"), Step(failure=failure())) > number
        assert requests.ask("resume", "notify", {}, "anna@host") > asked
