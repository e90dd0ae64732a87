"""Appending over a link that is cut or loses messages, to servers that are killed or full."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from nats_server import NatsServer, running_nats
from nats_sites import NatsSite, connected, nats_site
from tcp_link import Fate, Link, drop_nth, linked
from waiting import wait_until

from sgevents_core.errors import (
    BrokerFull,
    BrokerUnreachable,
    OutcomeNotKnown,
    StateError,
)
from sgevents_core.state.nats import appending, exchange, stream_log
from sgevents_core.state.nats.appending import StoredAt, Superseded
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.jetstream import call, stream_info
from sgevents_core.state.nats.stream_log import PART_BYTES

LONG = b"long " * (2 * PART_BYTES // 5 + 1)
"""A message of three parts."""


@pytest.fixture
def link(nats_server: NatsServer) -> Iterator[Link]:
    """A link to the server that all tests share."""
    with linked(nats_server.port) as made:
        yield made


@pytest.fixture
def far_site(site: NatsSite, link: Link) -> Iterator[NatsSite]:
    """The site of `site`, seen through the link."""
    with nats_site(link.port, site.url) as seen:
        yield seen


@pytest.mark.parametrize("data", [b"short", LONG], ids=["short", "long"])
@pytest.mark.parametrize("fate", [Fate.CUT, Fate.DROP])
@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize(
    ("direction", "operation"), [("to server", b"HPUB"), ("to client", b"MSG _INBOX")]
)
def test_what_is_lost_on_the_way_is_stored_once(
    site: NatsSite,
    far_site: NatsSite,
    link: Link,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    fate: Fate,
    lost: int,
    direction: str,
    operation: bytes,
) -> None:
    """The message or its answer, with the connection or without: the writer finds out."""
    monkeypatch.setattr(appending, "_ANSWER_WITHIN", 0.2)
    log, parts = far_site.journal(), -(-len(data) // PART_BYTES)
    link.rule = drop_nth(direction, operation, lost, fate)
    assert log.append(site.page, data, 0, "render01-1/1", within=60) == StoredAt(parts)
    assert log.append(site.page, b"next", parts, "render01-1/2", within=60) == StoredAt(parts + 1)
    stored = site.journal().read_after(0)
    assert [message.data for message in stored] == [data, b"next"]
    assert site.journal().last_sequence() == parts + 1


def test_the_outcome_is_not_known_if_the_answer_never_comes(
    site: NatsSite, far_site: NatsSite, link: Link
) -> None:
    """Then the very same message may be sent again, and turns out to be stored."""
    log = far_site.journal()

    def cut_for_good(direction: str, line: bytes) -> Fate:
        if direction == "to client" and line.startswith(b"MSG _INBOX"):
            link.cut()
            return Fate.CUT
        return Fate.PASS

    link.rule = cut_for_good
    with pytest.raises(OutcomeNotKnown, match=site.names.journal) as caught:
        log.append(site.page, b"first", 0, "render01-1/1", within=0.3)
    assert not isinstance(caught.value, StateError)
    link.rule = lambda direction, line: Fate.PASS
    with pytest.raises(OutcomeNotKnown):  # still cut
        log.append(site.page, b"first", 0, "render01-1/1", within=0.1, is_repeat=True)
    link.mend()
    outcome = log.append(site.page, b"first", 0, "render01-1/1", within=60, is_repeat=True)
    assert outcome == StoredAt(1)
    assert site.journal().last_sequence() == 1


def test_the_outcome_is_not_known_if_another_may_have_come_first(
    site: NatsSite, far_site: NatsSite, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that waits on the way is refused when it arrives behind a successor's fence."""
    monkeypatch.setattr(appending, "_ANSWER_WITHIN", 0.1)
    log = far_site.journal()
    link.hold()
    with pytest.raises(OutcomeNotKnown):
        log.append(site.page, b"held", 0, "render01-1/1", within=0.3)
    fence = site.names.journal_subject("fence")
    assert site.journal().append(fence, b"", 0, "render02-1/1") == StoredAt(1)
    link.release()
    outcome = log.append(site.page, b"held", 0, "render01-1/1", within=60, is_repeat=True)
    assert outcome == Superseded(1, "render02-1/1/1/1")
    assert [message.subject for message in site.journal().read_after(0)] == [fence]


def test_nothing_was_stored_if_nothing_was_sent(
    site: NatsSite, far_site: NatsSite, link: Link
) -> None:
    """Without a connection it is an error of the state, after which anything may be written."""
    link.cut()
    wait_until(lambda: not far_site.broker.is_connected, what="the lost connection")
    with pytest.raises(BrokerUnreachable) as caught:
        far_site.journal().append(site.page, b"first", 0, "render01-1/1", within=0.2)
    assert not caught.value.is_sent
    assert isinstance(caught.value, StateError)
    link.mend()
    assert far_site.journal().append(site.page, b"other", 0, "render01-1/2", within=60)


def test_a_full_stream_answers_with_an_error_and_loses_nothing(site: NatsSite) -> None:
    """And takes the message once there is room."""
    log = site.journal()
    log.append(site.page, b"first", 0, "render01-1/1")
    config = stream_info(site.broker, site.names.journal)["config"]
    call(site.broker, "STREAM.UPDATE", {**config, "max_msgs": 1}, stream=site.names.journal)
    with pytest.raises(BrokerFull, match="maximum messages exceeded"):
        log.append(site.page, b"second", 1, "render01-1/2")
    with pytest.raises(OutcomeNotKnown):  # an earlier copy of a repeat may be stored yet
        log.append(site.page, b"second", 1, "render01-1/2", is_repeat=True)
    assert [message.data for message in log.read_after(0)] == [b"first"]
    call(site.broker, "STREAM.UPDATE", config, stream=site.names.journal)
    assert log.append(site.page, b"second", 1, "render01-1/2") == StoredAt(2)


def test_a_full_server_answers_with_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """As its operator limits it, far below the size of the disk."""
    limits = "sync_interval: always\nmax_file_store: 2MB"
    with running_nats(tmp_path / "nats", limits) as server, nats_site(server.port) as site:
        log = site.journal()

        def fill() -> None:
            for place in range(100):
                outcome = log.append(site.page, bytes(100_000), place, f"render01-1/{place}")
                assert outcome == StoredAt(place + 1)

        with pytest.raises(BrokerFull, match="Nothing is lost"):
            fill()
        stored = log.last_sequence()
        assert stored > 5
        log.cut_front(stored)
        outcome = log.append(site.page, b"x", stored, "render01-1/again")
        assert outcome == StoredAt(stored + 1)


def test_killed_servers_lose_nothing_that_they_have_confirmed(tmp_path: Path) -> None:
    """Two writers go on through kills; each message is stored once, in order."""
    with running_nats(tmp_path / "nats") as server, nats_site(server.port) as site:
        lanes = [site.names.lane("default"), site.names.journal]
        counts = dict.fromkeys(lanes, 0)
        stop = threading.Event()

        def write(stream: str, subject: str) -> None:
            log = stream_log.StreamLog(site.broker, stream)
            while not stop.is_set():
                number = counts[stream]
                data = f"{number}".encode()
                outcome = log.append(subject, data, number, f"w-1/{number}", within=60)
                assert outcome == StoredAt(number + 1)
                counts[stream] = number + 1

        subjects = [site.names.lane_subject("default", "s"), site.page]
        threads = [
            threading.Thread(target=write, args=pair) for pair in zip(lanes, subjects, strict=True)
        ]
        for thread in threads:
            thread.start()
        for kill in range(1, 4):
            for lane in lanes:
                wait_until(partial(lambda lane, count: counts[lane] > count, lane, kill * 40))
            server.kill()
            server.start()
        stop.set()
        for thread in threads:
            thread.join()
        for stream, count in counts.items():
            log, place, data = stream_log.StreamLog(site.broker, stream), 0, []
            while messages := log.read_after(place):
                data += [message.data for message in messages]
                place = messages[-1].sequence
            assert data == [f"{number}".encode() for number in range(count)]


def test_a_frozen_server_is_noticed_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for it longer than it is asked to, and what it has not confirmed is settled."""
    monkeypatch.setattr(exchange, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(exchange, "_PONG_WITHIN", 1)
    with running_nats(tmp_path / "nats") as server, nats_site(server.port) as site:
        log = site.journal()
        log.append(site.page, b"first", 0, "render01-1/1")
        server.freeze()
        try:
            with pytest.raises(OutcomeNotKnown):
                log.append(site.page, LONG, 1, "render01-1/2", within=0.3)
            wait_until(lambda: not site.broker.is_connected, what="the frozen server")
        finally:
            server.thaw()
        assert log.append(
            site.page, LONG, 1, "render01-1/2", within=60, is_repeat=True
        ) == StoredAt(4)


def test_a_broker_that_is_closed_ends_at_once(nats_server: NatsServer) -> None:
    """Whatever waits fails, and later requests do too."""
    with linked(nats_server.port) as link, connected(link.port) as broker:
        link.hold()
        failures: list[BrokerUnreachable] = []

        def ask() -> None:
            try:
                broker.request("$JS.API.INFO", within=60)
            except BrokerUnreachable as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        broker.close()
        thread.join()
        assert [error.is_sent for error in failures] == [True]
        with pytest.raises(BrokerUnreachable, match="is closed"):
            broker.request("$JS.API.INFO")


def test_server_behind_which_nobody_answers_is_left_for_another(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is cut off from the others answers pings, and no request.

    With a single server, there is nothing better than to go on asking it.
    """
    monkeypatch.setattr(exchange, "_UNANSWERED_SECONDS", 0.2)
    with linked(nats_server.port) as first, linked(nats_server.port) as second:
        with connected(first.port, second.port) as broker:
            deaf, other = (first, second) if first.has_connection else (second, first)
            deaf.rule = _lose_requests
            wait_until(partial(_is_answered, broker))
            assert other.has_connection
        with connected(deaf.port) as broker:
            for _ in range(5):
                assert not _is_answered(broker)
            assert broker.connections == 1


def _lose_requests(direction: str, line: bytes) -> Fate:
    is_request = direction == "to server" and b"$JS.API" in line
    return Fate.DROP if is_request else Fate.PASS


def _is_answered(broker: Broker) -> bool:
    try:
        call(broker, "INFO", within=0.2)
    except BrokerUnreachable:
        return False
    return True
