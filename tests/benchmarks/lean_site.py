"""A site that costs nearly nothing: rows of an event log by the real API's protocol.

It runs in a process of its own (`python lean_site.py`), knows the questions that clients ask about
an event log and no others, and writes a page in a tenth of the time that reading it takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Final

from event_rows import Log

INFO: Final = {"version": [8, 50, 0], "api_max_entities_per_page": 500}
_HIGHEST: Final = 2**53
_PAGES: Final = 1024
"""Pages that are kept as they were sent, some 300 KB each."""


class LeanSite:
    """What the site has and how it answers.

    Args:
        log: Its event log.
        delay: How long it needs for a page of rows, in seconds.
    """

    def __init__(self, log: Log, delay: float) -> None:
        self.calls = 0
        self._log = log
        self._delay = delay
        self._shown: dict[int, tuple[float, str]] = {}
        self._kept = lru_cache(_PAGES)(self._written)  # who comes again waits for no page

    def answer(self, method: str, params: dict[str, Any]) -> bytes:
        """Return the body of the answer to a call."""
        self.calls += 1
        if method == "info":
            return json.dumps(INFO).encode()
        spans = list(self._spans(params.get("filters", {})))
        if method == "summarize":
            count = sum(len(self._log.numbers_between(*span)) for span in spans)
            return json.dumps({"results": {"summaries": {"id": count}, "groups": []}}).encode()
        if params["type"] != "EventLogEntry":
            return self._page([], 500)
        time.sleep(self._delay)
        return self._rows(spans, params)

    def add_rows(self, rows: int, rate: float, event_types: Sequence[str] = ()) -> None:
        """Let rows become visible, so many a second; each tells when in its `session_uuid`.

        They come at random moments: at even ones they would keep step with the client.

        Args:
            rows: How many.
            rate: How many a second.
            event_types: The event type of each; empty for those of the log.
        """
        begin, chance = time.monotonic(), Random(7)
        for number in range(rows):
            due = begin + (number + chance.random()) / rate
            time.sleep(max(0.0, due - time.monotonic()))
            event_type = event_types[number] if event_types else ""
            self._shown[len(self._log)] = time.time(), event_type
            self._log.row_count += 1

    def _rows(self, spans: Sequence[tuple[int, int]], params: dict[str, Any]) -> bytes:
        limit = params["paging"]["entities_per_page"]
        numbers = [n for span in spans for n in _ends(self._log.numbers_between(*span), limit)]
        if params.get("sorts", [{}])[0].get("direction") == "desc":
            numbers.reverse()
        if params["return_fields"] == ["id"]:
            ids = (self._log[number] for number in numbers[:limit])
            return self._page([b'{"type": "EventLogEntry", "id": %d}' % id_ for id_ in ids], limit)
        return self._kept(tuple(numbers[:limit]), limit)

    def _written(self, numbers: tuple[int, ...], limit: int) -> bytes:
        return self._page([self._body(number) for number in numbers], limit)

    def _body(self, number: int) -> bytes:
        body = self._log.body(number)
        shown = self._shown.get(number)
        if shown is None:
            return body
        shown_at, event_type = shown
        changed = {"event_type": event_type} if event_type else {}
        row = {**json.loads(body), "session_uuid": repr(shown_at), **changed}
        return json.dumps(row).encode()

    def _page(self, bodies: Sequence[bytes], limit: int) -> bytes:
        paging = b'{"entities_per_page": %d, "has_next_page": false}' % limit
        rows = b", ".join(bodies)
        return b'{"results": {"entities": [%b], "paging_info": %b}}' % (rows, paging)

    def _spans(self, filters: dict[str, Any]) -> Iterator[tuple[int, int]]:
        """Yield the ranges of ids that filters find: one condition, or any of several."""
        conditions = filters.get("conditions", [])
        if not conditions:
            yield 1, _HIGHEST
        for condition in conditions:
            if "conditions" in condition:
                yield from self._spans(condition)
            else:
                yield from _span(condition["relation"], condition["values"])


def _span(relation: str, values: list[Any]) -> list[tuple[int, int]]:
    if relation == "greater_than":
        return [(values[0] + 1, _HIGHEST)]
    if relation == "less_than":
        return [(1, values[0] - 1)]
    if relation == "between":
        return [(values[0], values[1])]
    if relation == "in":
        return [(value, value) for value in values]
    raise ValueError(f"{relation} is not a question that this site knows")


def _ends(numbers: range, limit: int) -> Sequence[int]:
    """Return the numbers that a page may need: those at either end."""
    return numbers if len(numbers) <= 2 * limit else [*numbers[:limit], *numbers[-limit:]]


class Server(ThreadingTCPServer):
    """The site's server on this machine."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: LeanSite) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.site = site


class Talk(StreamRequestHandler):
    """One connection, kept open as long as the client likes."""

    server: Server
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer until the client has gone."""
        with suppress(ConnectionError):
            self._talk()

    def _talk(self) -> None:
        while line := self.rfile.readline():
            length = 0
            while head := self.rfile.readline().strip():
                name, _, value = head.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self._say(self._answer(line.split()[1], json.loads(self.rfile.read(length) or b"{}")))

    def _answer(self, path: bytes, request_fields: dict[str, Any]) -> bytes:
        site = self.server.site
        if path == b"/calls":
            return b"%d" % site.calls
        if path == b"/grow":
            threading.Thread(target=site.add_rows, kwargs=request_fields, daemon=True).start()
            return b"{}"
        return site.answer(
            request_fields["method_name"], (request_fields.get("params") or [{}])[-1]
        )

    def _say(self, body: bytes) -> None:
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {formatdate(usegmt=True)}"
        )
        self.wfile.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        self.wfile.flush()


class SiteProcess:
    """The site as a benchmark uses it, in its process."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port

    def add_rows(self, rows: int, rate: float, event_types: Sequence[str] = ()) -> None:
        """Let rows become visible from now on; see `LeanSite.add_rows`."""
        self._ask("/grow", {"rows": rows, "rate": rate, "event_types": list(event_types)})

    @property
    def calls(self) -> int:
        """How many calls of the API it has answered."""
        return int(self._ask("/calls", {}))

    def _ask(self, path: str, request_fields: dict[str, Any]) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", path, json.dumps(request_fields))
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def running_lean_site(
    rows: int, *, gap_every: int = 0, hole: int = 0, delay: float = 0.0
) -> Iterator[SiteProcess]:
    """Run a site while the block lasts; see `event_rows.Log`.

    Args:
        rows: The rows of its event log.
        gap_every: Every such id is missing; 0 for none.
        hole: So many ids are missing in the middle.
        delay: How long it needs for a page, in seconds.
    """
    options = {"rows": rows, "gap-every": gap_every, "hole": hole, "delay": delay}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, str(Path(__file__)), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield SiteProcess(int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    """Serve until the process at the other end of stdin has gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--gap-every", type=int, default=0)
    parser.add_argument("--hole", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    log = Log(options.rows, gap_every=options.gap_every, hole=options.hole)
    with Server(LeanSite(log, options.delay)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
