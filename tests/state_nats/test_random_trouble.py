"""Rival writers of one stream, while links and the server fail at random."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from nats_server import running_nats
from nats_sites import nats_site
from tcp_link import linked
from writers_in_trouble import RivalWriter, trouble

from sgevents_core.state.nats import appending
from sgevents_core.state.nats.stream_log import LogMessage

SECONDS = 3.0


def test_what_is_confirmed_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the place that was confirmed, whole, and behind nobody that was superseded."""
    monkeypatch.setattr(appending, "_ANSWER_WITHIN", 0.3)
    with ExitStack() as stack:
        server = stack.enter_context(running_nats(tmp_path / "nats"))
        site = stack.enter_context(nats_site(server.port))
        links = [stack.enter_context(linked(server.port)) for _ in range(3)]
        stop = threading.Event()
        writers = [RivalWriter(site, link, seed, stop) for seed, link in enumerate(links)]
        trouble(7, SECONDS, server, links)
        stop.set()
        for writer in writers:
            writer.thread.join()
        assert all(writer.ended_well for writer in writers)
        stored: list[LogMessage] = []
        log = site.journal()
        while messages := log.read_after(stored[-1].sequence if stored else 0):
            stored += messages
    by_place = {message.sequence: message for message in stored}
    confirmed = [message for writer in writers for message in writer.confirmed]
    assert all(by_place.get(message.sequence) == message for message in confirmed)
    assert len({message.token for message in stored}) == len(stored)
    assert len(confirmed) > 100
    reigns = [message.token.partition("/")[0] for message in stored if "fence" in message.subject]
    assert len(reigns) > 10
    _each_writer_follows_its_own_fence(stored)


def _each_writer_follows_its_own_fence(stored: list[LogMessage]) -> None:
    holder = ""
    for message in stored:
        writer = message.token.partition("/")[0]
        if "fence" in message.subject:
            holder = writer
        assert writer == holder, message.token
