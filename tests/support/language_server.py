"""Asks pyright's language server what an editor would offer at a place in a file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class LanguageServer:
    """A running language server, for one file at a time.

    Args:
        process: Its process.
        folder: The folder of the project that it is asked about.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._last_number = 0
        self._call(
            "initialize",
            processId=None,
            rootUri=folder.as_uri(),
            capabilities={"workspace": {"configuration": True}},
        )
        self._send(method="initialized", params={})

    def completions(self, text: str, line: int, column: int) -> list[str]:
        """Return what is offered at a place of a file with this text, counted from 0."""
        address = (self._folder / "plugin.py").as_uri()
        document = {"uri": address, "languageId": "python", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        position = {"line": line, "character": column}
        answer = self._call(
            "textDocument/completion", textDocument={"uri": address}, position=position
        )
        items = answer["items"] if isinstance(answer, dict) else answer or []
        self._send(method="textDocument/didClose", params={"textDocument": {"uri": address}})
        return [item["label"] for item in items]

    def _call(self, method: str, **params: Any) -> Any:
        self._last_number += 1
        self._send(id=self._last_number, method=method, params=params)
        while True:
            message = self._receive()
            if message.get("id") == self._last_number and "method" not in message:
                return message["result"]
            if "id" in message and "method" in message:  # it asks for settings
                items = (message.get("params") or {}).get("items", [])
                answers = [
                    {"pythonPath": sys.executable} if item.get("section") == "python" else {}
                    for item in items
                ]
                self._send(id=message["id"], result=answers or None)

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _receive(self) -> Any:
        assert self._process.stdout is not None
        length = 0
        while (line := self._process.stdout.readline()) != b"\r\n":
            assert line, "the language server has ended"
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return json.loads(self._process.stdout.read(length))


@contextmanager
def language_server(folder: Path) -> Iterator[LanguageServer]:
    """Run pyright's language server while the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pyright.langserver", "--stdio"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield LanguageServer(process, folder)
    finally:
        process.kill()
        process.communicate()
