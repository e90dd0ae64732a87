"""An HTTP server that answers every call with what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving


class ScriptedSite:
    """Answers with `body`, whatever is asked.

    Args:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.forget()

    def forget(self) -> None:
        """Be as at the beginning."""
        self.body = b"{}"
        self.info: dict[str, Any] = {"version": [8, 50, 0], "api_max_entities_per_page": 500}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []

    def answers(self, results: Any) -> None:
        """Answer with results, as the API wraps them."""
        self.body = json.dumps({"results": results}).encode()

    def rows(self, *rows: Any) -> None:
        """Answer with these records of a page."""
        self.answers({"entities": list(rows), "paging_info": {"entity_count": len(rows)}})


@contextmanager
def scripted_site() -> Iterator[ScriptedSite]:
    """Run a server while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one piece, else the client waits for the second

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            site.asked.append(asked)
            body = json.dumps(site.info).encode() if asked["method_name"] == "info" else site.body
            head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            self.send_response_only(site.status)
            for name, value in {**head, **site.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = ScriptedSite(server.server_address[1])
    with serving(server):
        yield site
