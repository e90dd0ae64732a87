"""The plugin publish-notify, loaded as the daemon loads it, with real HTTP servers to tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from desk import Desk

from sgevents_core import Secret
from sgevents_core.errors import PluginError


class Chat:
    """A chat server that keeps what it is told, and can be unwell."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if chat.status == 200:
                    chat.told.append(json.loads(body))
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> Secret:
        """Its address, as apprise has it."""
        return Secret(f"json://127.0.0.1:{self._server.server_port}/hidden-words")

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def chats() -> Iterator[list[Chat]]:
    """Three chat servers."""
    servers = [Chat() for _ in range(3)]
    yield servers
    for server in servers:
        server.close()


def publish(desk: Desk) -> None:
    """Publish a file of the desk's shot."""
    desk.create(
        "PublishedFile", code="fox_v1", entity=desk.shot, description="<b>new ears</b> & $name"
    )


def urls(chats: list[Chat]) -> dict[str, Secret]:
    """Return the settings that tell all of them."""
    return {f"channel-{number}": chat.url for number, chat in enumerate(chats, start=1)}


def test_every_place_is_told_once(desk: Desk, chats: list[Chat]) -> None:
    """With the names of what was published; text of people stays text."""
    desk.enable("publish-notify", urls=urls(chats))
    publish(desk)
    desk.catch_up()
    for chat in chats:
        (message,) = chat.told
        assert message["title"] == "Bunny: fox_v1"
        assert message["message"].startswith("Anna published fox_v1 of BUN_010. ")
        assert "$name" in message["message"]


def test_only_places_that_were_not_reached_are_told_again(desk: Desk, chats: list[Chat]) -> None:
    """The second is down for a while: the first is told once all the same."""
    desk.enable("publish-notify", urls=urls(chats))
    chats[1].status = 503
    publish(desk)
    held = desk.harness.catch_up(retry=False)
    assert [call.outcome for call in held.calls] == ["retry"]
    assert "channel-2 could not be told" in str(held.calls[0].reason)
    assert "hidden-words" not in str(held.calls[0].reason)
    chats[1].status = 200
    desk.harness.catch_up().raise_errors()
    assert [len(chat.told) for chat in chats] == [1, 1, 1]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "at least one place"),
        ({"urls": {"a": Secret("json://a")}, "title": "$shot"}, r"\$shot is not known here"),
    ],
)
def test_settings_that_tell_nobody_are_refused(
    desk: Desk, settings: dict[str, Any], complaint: str
) -> None:
    """Before the first event."""
    desk.enable("publish-notify", **settings)
    with pytest.raises(PluginError, match=complaint):
        desk.harness.start()
