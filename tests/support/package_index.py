"""A package index on loopback, as a studio runs one: a real pypiserver in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

USER, PASSWORD = "uploader", "demo-password"

_SERVE = """
import json, sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pypiserver

told = json.loads(sys.argv[1])
app = pypiserver.app(
    roots=[Path(told["folder"])],
    backend_arg="simple-dir",
    authenticate=["update"],
    password_file=".",
    auther=lambda user, password: (user, password) == (told["user"], told["password"]),
    disable_fallback=told["proxied"] is None,
    fallback_url=told["proxied"] or "",
)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args):
        pass


with make_server("127.0.0.1", 0, app, Server, Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


class PackageIndex:
    """An index; listening once made, gone when closed.

    Args:
        folder: Where its packages are kept.
        proxied: The index that it passes requests on to for what it does not have itself.
    """

    def __init__(self, folder: Path, proxied: PackageIndex | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        told = {
            "folder": str(folder),
            "user": USER,
            "password": PASSWORD,
            "proxied": proxied.simple if proxied else None,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, json.dumps(told)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    @property
    def simple(self) -> str:
        """What `pip install --index-url` takes."""
        return f"{self.url}/simple/"

    def __enter__(self) -> PackageIndex:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate()
