"""A stream as a log: appending behind what is known, and reading without holes."""

from __future__ import annotations

from typing import Any

import pytest
from nats_server import NatsServer
from nats_sites import NatsSite, nats_site
from tcp_link import linked
from waiting import wait_until

from sgevents_core.errors import (
    BrokerError,
    BrokerUnreachable,
    FrontCut,
    OutcomeNotKnown,
    StreamLost,
    StreamMissing,
)
from sgevents_core.state.nats import appending, stream_log
from sgevents_core.state.nats.appending import StoredAt, Superseded
from sgevents_core.state.nats.connection import Broker
from sgevents_core.state.nats.exchange import Reply
from sgevents_core.state.nats.jetstream import call, stream_info
from sgevents_core.state.nats.stream_log import PART_BYTES, LogMessage, StreamLog

LONG = bytes(range(256)) * (3 * PART_BYTES // 256) + b"end"
"""A message of four parts."""


def test_a_message_is_appended_behind_the_last(site: NatsSite) -> None:
    """The sequences have no holes, and the newest is known from the leader."""
    log = site.journal()
    assert log.last_sequence() == 0
    assert log.append(site.page, b"first", 0, "render01-1/1") == StoredAt(1)
    assert log.append(site.page, b"", 1, "render01-1/2") == StoredAt(2)
    assert log.last_sequence() == 2
    assert log.read_after(0) == [
        LogMessage(1, site.page, "render01-1/1", b"first"),
        LogMessage(2, site.page, "render01-1/2", b""),
    ]
    assert log.read_after(1) == [LogMessage(2, site.page, "render01-1/2", b"")]
    assert log.read_after(2) == []


def test_another_writer_supersedes(site: NatsSite) -> None:
    """Who writes behind an old place learns who is there, and changes nothing."""
    log = site.journal()
    log.append(site.page, b"first", 0, "render01-1/1")
    assert log.append(site.page, b"late", 0, "render02-1/1") == Superseded(1, "render01-1/1/1/1")
    assert [message.data for message in log.read_after(0)] == [b"first"]


def test_the_very_same_message_is_stored_once(site: NatsSite) -> None:
    """Sent again, it is recognized by its token, also when others have come behind it."""
    log = site.journal()
    assert log.append(site.page, b"first", 0, "render01-1/1") == StoredAt(1)
    assert log.append(site.page, b"first", 0, "render01-1/1", is_repeat=True) == StoredAt(1)
    log.append(site.page, b"second", 1, "render02-1/1")
    assert log.append(site.page, b"first", 0, "render01-1/1", is_repeat=True) == StoredAt(1)
    assert log.last_sequence() == 2


def test_a_superseded_writer_whose_place_was_cut_off_learns_it(site: NatsSite) -> None:
    """Even if nobody can tell any more whose message stood there."""
    log = site.journal()
    for place in range(4):
        log.append(site.page, b"x", place, f"render01-1/{place}")
    log.cut_front(4)
    assert log.append(site.page, b"late", 1, "render02-1/1") == Superseded(2, "")


def test_a_long_message_goes_in_parts(site: NatsSite) -> None:
    """It is read as one, at the place of its last part, by a reader who reads little at a time."""
    log = site.journal()
    assert log.append(site.page, LONG, 0, "render01-1/1") == StoredAt(4)
    assert log.append(site.page, b"next", 4, "render01-1/2") == StoredAt(5)
    expected = LogMessage(4, site.page, "render01-1/1", LONG)
    assert log.read_after(0)[0] == expected
    assert log.read_after(0, most_messages=1) == [expected]
    assert log.read_after(0, most_bytes=1000)[0] == expected
    assert log.read_after(4) == [LogMessage(5, site.page, "render01-1/2", b"next")]
    assert log.append(site.page, LONG, 0, "render01-1/1", is_repeat=True) == StoredAt(4)


@pytest.mark.parametrize("stored_parts", [1, 2, 3])
def test_a_message_whose_last_part_is_missing_is_void(site: NatsSite, stored_parts: int) -> None:
    """It never comes if another writer has gone on, and its writer is superseded."""
    log, names = site.journal(), site.names
    for number in range(1, stored_parts + 1):
        part = LONG[(number - 1) * PART_BYTES : number * PART_BYTES]
        headers = {"W": f"render01-1/1/{number}/4"}
        site.broker.request(site.page, part, headers)
    assert log.read_after(0) == []
    fence = names.journal_subject("fence")
    assert log.append(fence, b"", stored_parts, "render02-1/1") == StoredAt(stored_parts + 1)
    assert log.read_after(0) == [LogMessage(stored_parts + 1, fence, "render02-1/1", b"")]
    assert log.append(site.page, LONG, 0, "render01-1/1", is_repeat=True) == Superseded(
        stored_parts + 1, "render02-1/1/1/1"
    )


def test_a_repeated_message_goes_on_with_the_parts_that_are_missing(site: NatsSite) -> None:
    """A writer that got no answer for the second part sends all, and each is stored once."""
    log = site.journal()
    for number in (1, 2):
        part = LONG[(number - 1) * PART_BYTES : number * PART_BYTES]
        site.broker.request(site.page, part, {"W": f"render01-1/1/{number}/4"})
    assert log.append(site.page, LONG, 0, "render01-1/1", is_repeat=True) == StoredAt(4)
    assert log.read_after(0) == [LogMessage(4, site.page, "render01-1/1", LONG)]


def test_a_reader_whose_next_message_was_cut_off_learns_it(site: NatsSite) -> None:
    """It has to begin anew from a snapshot; one who has read further goes on."""
    log = site.journal()
    for place in range(5):
        log.append(site.page, b"x", place, f"render01-1/{place}")
    log.cut_front(4)
    with pytest.raises(FrontCut) as caught:
        log.read_after(2)
    assert (caught.value.first, caught.value.wanted) == (4, 3)
    assert [message.sequence for message in log.read_after(3)] == [4, 5]
    log.cut_front(99)
    assert [message.sequence for message in log.read_after(4)] == [5]
    assert log.append(site.page, b"x", 5, "render01-1/5") == StoredAt(6)


def test_a_stream_that_ends_before_the_place_is_lost(site: NatsSite) -> None:
    """As it is after an old backup was restored: nothing goes on as if all were well."""
    log = site.journal()
    log.append(site.page, b"x", 0, "render01-1/1")
    with pytest.raises(StreamLost, match="ends at message 1, and 7 was read before"):
        log.read_after(7)
    with pytest.raises(StreamLost, match="ends at 1, and 7 was its last"):
        log.append(site.page, b"x", 7, "render01-1/8")


def test_a_leader_that_is_cut_off_is_not_believed_at_once(
    site: NatsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several servers, a leader may lack what others have stored, and not know it yet.

    Only a stream that ends too early for half a minute is lost, and no writer says so.
    """
    log = site.journal()
    log.append(site.page, b"x", 0, "render01-1/1")
    monkeypatch.setattr(stream_log, "stream_info", _say_replicated)
    monkeypatch.setattr(appending, "stream_info", _say_replicated)
    monkeypatch.setattr(stream_log, "_LOOK_EVERY", 0.0)
    with pytest.raises(BrokerUnreachable, match="is behind the others: it ends at message 1"):
        log.read_after(7)
    assert log.read_after(7) == []
    with pytest.raises(OutcomeNotKnown, match="ends at 1, and 7 was its last"):
        log.append(site.page, b"x", 7, "render01-1/8", within=0.3, is_repeat=True)
    for place in range(1, 7):
        log.append(site.page, b"x", place, f"render01-1/{place}")
    assert log.read_after(7) == []
    monkeypatch.setattr(stream_log, "_BEHIND_FOR", 0.0)
    with pytest.raises(StreamLost, match="ends at message 7, and 9 was read before"):
        log.read_after(9)


def _say_replicated(broker: Broker, name: str, within: float = 5.0) -> dict[str, Any]:
    """Return what the server says about a stream as if several had it."""
    info = stream_info(broker, name, within)
    return {**info, "config": {**info["config"], "num_replicas": 3}}


def test_what_is_stored_is_read_while_a_stream_has_no_leader(
    site: NatsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any server has it; whether the stream is still the one that it was, is looked at later."""
    log = site.journal()
    log.append(site.page, b"x", 0, "render01-1/1")
    assert len(log.read_after(0)) == 1
    monkeypatch.setattr(stream_log, "_LOOK_EVERY", 0.0)
    monkeypatch.setattr(stream_log, "stream_info", _find_no_leader)
    assert len(log.read_after(0)) == 1
    with pytest.raises(BrokerUnreachable, match="no leader"):
        site.journal().read_after(0)


def _find_no_leader(broker: Broker, name: str, within: float = 5.0) -> dict[str, Any]:
    raise BrokerUnreachable(path=str(broker), reason=f"{name} has no leader")


def test_a_deleted_stream_is_lost(site: NatsSite) -> None:
    """For who has seen it; who has not is told how to make it."""
    log = site.journal()
    log.append(site.page, b"x", 0, "render01-1/1")
    assert log.read_after(1) == []
    call(site.broker, "STREAM.DELETE", stream=site.names.journal)
    with pytest.raises(StreamLost, match="it was deleted"):
        log.read_after(1)
    with pytest.raises(StreamMissing, match="sgevents cluster init"):
        site.journal().last_sequence()
    with pytest.raises(StreamMissing, match="sgevents cluster init"):
        log.append(site.page, b"x", 1, "render01-1/2")


def test_a_stream_that_was_made_anew_is_lost(site: NatsSite) -> None:
    """Even if it has more messages than were read of the old one, and in another process."""
    log = site.journal()
    log.append(site.page, b"x", 0, "render01-1/1")
    assert log.read_after(1) == []
    call(site.broker, "STREAM.DELETE", stream=site.names.journal)
    site.make_streams()
    for place in range(3):
        site.journal().append(site.page, b"y", place, f"render02-1/{place}")
    for place in (1, 3):
        with pytest.raises(StreamLost, match="deleted and made anew"):
            StreamLog(site.broker, site.names.journal, log.identity).read_after(place)


def test_a_listener_is_called_for_each_message_of_the_site(
    nats_server: NatsServer, site: NatsSite
) -> None:
    """By the headers alone, and once more after each new connection."""
    heard: list[str] = []
    with linked(nats_server.port) as link, nats_site(link.port, site.url) as far_site:
        far_site.broker.listen(
            site.names.hints, lambda hint: heard.append(hint.subject if hint else "connected")
        )
        site.journal().append(site.page, b"x" * 1000, 0, "render01-1/1")
        wait_until(lambda: heard == [f"hint.{site.page}"], what="the hint")
        link.cut()
        link.mend()
        wait_until(lambda: heard[-1] == "connected", what="another connection")
        site.journal().append(site.page, b"x", 1, "render01-1/2")
        wait_until(lambda: heard[-1] == f"hint.{site.page}", what="the hint")


def test_a_listener_that_would_wait_for_its_own_thread_is_refused(site: NatsSite) -> None:
    """Rather than waiting for ever."""
    outcome: list[str] = []

    def ask(hint: Reply | None) -> None:
        try:
            site.broker.request("$JS.API.INFO")
        except RuntimeError as error:
            outcome.append(str(error))

    site.broker.listen(site.names.hints, ask)
    site.journal().append(site.page, b"x", 0, "render01-1/1")
    wait_until(lambda: outcome, what="the hint")
    assert "must not wait" in outcome[0]


def test_a_request_is_added_once(site: NatsSite) -> None:
    """Whoever else adds one; its sequence is its number."""
    log = StreamLog(site.broker, site.names.requests)
    subject = site.names.request_subject
    assert log.add(subject, b"pause", "id-1") == 1
    assert log.add(subject, b"resume", "id-2") == 2
    assert log.add(subject, b"pause", "id-1") == 1
    assert [message.data for message in log.read_after(0)] == [b"pause", b"resume"]


def test_a_message_that_is_too_long_with_its_headers_is_never_sent(site: NatsSite) -> None:
    """The server would end the connection for it."""
    log = StreamLog(site.broker, site.names.requests)
    with pytest.raises(BrokerError, match="it takes messages of 1048576 bytes"):
        log.add(site.names.request_subject, bytes(1024 * 1024 - 20), "id-1")
    assert log.last_sequence() == 0
    assert site.broker.is_connected
