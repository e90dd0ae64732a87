"""A site over HTTP whose rows are any text, under the ids by which it sorts them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving import serving
from site_records import ROW

Condition = Mapping[str, Any]
_MATCHES: Mapping[str, Callable[[int, list[Any]], bool]] = {
    "greater_than": lambda id_, values: id_ > values[0],
    "less_than": lambda id_, values: id_ < values[0],
    "between": lambda id_, values: values[0] <= id_ <= values[1],
    "in": lambda id_, values: id_ in values,
    "is": lambda id_, values: id_ == values[0],
}


def text_of(id_: int, **more: Any) -> str:
    """The text of a plain row."""
    return json.dumps({**ROW, "id": id_, **more})


class OddSite:
    """Answers pages, looks, counts and questions for ids alone.

    Args:
        port: Where it listens on 127.0.0.1.
    """

    script_name = "sgevents"
    api_key = "demo-key"

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.rows: dict[int, str] = {}
        self.fails: Callable[[list[int], Mapping[str, Any]], bool] = lambda *_: False
        self.asked: list[Mapping[str, Any]] = []

    def answer(self, order: Mapping[str, Any]) -> bytes | None:
        """Return the body of an answer, None for status 500."""
        if order["method_name"] == "info":
            return json.dumps({"version": [8, 50, 0], "api_max_entities_per_page": 500}).encode()
        params = order["params"][1]
        if params["type"] != "EventLogEntry":
            return b'{"results": {"entities": []}}'
        found = sorted(id_ for id_ in self.rows if _matches(id_, params["filters"]))
        if order["method_name"] == "summarize":
            return json.dumps({"results": {"summaries": {"id": len(found)}}}).encode()
        self.asked.append(params)
        if any(one["direction"] == "desc" for one in params["sorts"]):
            found.reverse()
        found = found[: params["paging"]["entities_per_page"]]
        if self.fails(found, params):
            return None
        bare = params["return_fields"] == ["id"]
        texts = [f'{{"id": {id_}}}' if bare else self.rows[id_] for id_ in found]
        return f'{{"results": {{"entities": [{", ".join(texts)}]}}}}'.encode()


def _matches(id_: int, filters: Condition) -> bool:
    found = (
        _matches(id_, one)
        if "logical_operator" in one
        else _MATCHES[one["relation"]](id_, one["values"])
        if one["path"] == "id"
        else True
        for one in filters["conditions"]
    )
    return any(found) if filters["logical_operator"] == "or" else all(found)


@contextmanager
def odd_site() -> Iterator[OddSite]:
    """Run a server while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def do_POST(self) -> None:
            body = site.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response_only(500 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = OddSite(server.server_address[1])
    with serving(server):
        yield site
