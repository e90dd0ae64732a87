"""A chat server that is away for a minute costs no event, whichever library a plugin uses."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import slack_sdk
from serving import serving
from waiting import PATIENCE

from sgevents_core import hookimpl
from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.calling.policy import FailureRules, judge
from sgevents_core.testing import EventBuilder, Harness

OUTAGE_SECONDS = 60.0


class ChatServer:
    """A server that answers 503 until its clock says that a minute is over.

    Each refusal moves the clock on by the shortest wait before the next attempt.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.refusals = 0
        self.messages: list[str] = []
        self.url = ""

    def answer(self, text: str) -> int:
        """Return the status of the answer to a message."""
        if self.now < OUTAGE_SECONDS:
            self.refusals += 1
            facts = ErrorFacts(is_transient=True)
            self.now += judge(facts, self.refusals, FailureRules(), 0.0).wait_seconds
            return 503
        self.messages.append(text)
        return 200


@contextmanager
def _chat_server() -> Iterator[ChatServer]:
    chat = ChatServer()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = json.dumps({"ok": True}).encode()
            self.send_response(chat.answer(body.decode()))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as server:
        chat.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield chat


def _urllib(url: str, text: str) -> None:
    with urllib.request.urlopen(url, text.encode(), timeout=PATIENCE):
        pass


def _requests(url: str, text: str) -> None:
    requests.post(url, data=text, timeout=PATIENCE).raise_for_status()


def _httpx(url: str, text: str) -> None:
    httpx.post(url, content=text, timeout=PATIENCE).raise_for_status()


def _aiohttp(url: str, text: str) -> None:
    async def post() -> None:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.post(url, data=text),
        ):
            pass

    asyncio.run(post())


def _slack(url: str, text: str) -> None:
    slack_sdk.WebClient("demo-token", base_url=url).chat_postMessage(channel="dailies", text=text)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # errors hold the sockets of their library
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("post", [_urllib, _requests, _httpx, _aiohttp, _slack])
def test_a_minute_of_503_makes_no_dead_letter(post: Callable[[str, str], None]) -> None:
    """The message arrives once the server is back, and nothing is given up."""
    with _chat_server() as chat:

        def on_new(event: Any) -> None:
            post(chat.url, f"new {event.entity_type}")

        plugin = SimpleNamespace(on_new=hookimpl(on_new))
        with Harness(plugin, "chat") as harness:
            result = harness.run(EventBuilder().new("Version"))
        assert result.dead_letters == []
        assert result.calls[-1].outcome == "returned"
        assert len(chat.messages) == 1
        assert chat.refusals == len(result.failed)
        waits = [call.wait or 0.0 for call in result.failed]
        assert sum(waits) >= OUTAGE_SECONDS
