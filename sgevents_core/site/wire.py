"""Calls over one connection to a site: kept open, bounded in time and size, without redirects."""

from __future__ import annotations

import threading
import time
import weakref
import zlib
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from ssl import SSLEOFError
from typing import Final, NamedTuple, cast

from sgevents_core.site.answers import NotAnAnswerError, too_large
from sgevents_core.site.bounded_socket import LARGEST, BoundedSocket, Endpoint, dial
from sgevents_core.site.deadline import Deadline

IDLE: Final = 30.0
"""Seconds after which a connection is not reused, since a router may have forgotten it."""
_PIECE: Final = 1 << 18
_MEMBERS: Final = 16
_ANY_ZIP: Final = 32 + zlib.MAX_WBITS


class Reply(NamedTuple):
    """An HTTP answer: header names in lower case, the body unpacked."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection to a site, opened when needed.

    Args:
        place: Where the site is.
    """

    def __init__(self, place: Endpoint) -> None:
        self.place: Final = place
        self._lock = threading.Lock()
        self._http: HTTPConnection | None = None
        self._line: BoundedSocket | None = None
        self._used_at = 0.0
        _WIRES.add(self)

    def request(
        self, verb: str, path: str, body: bytes | None, headers: dict[str, str], deadline: Deadline
    ) -> Reply:
        """Send a request and return the answer; a redirect is an answer like any other.

        Raises:
            OSError: The connection failed; a TimeoutError if it took too long.
            HTTPException: The answer is not valid HTTP.
            NotAnAnswerError: The body cannot be unpacked; a TooLargeError if it is too large.
        """
        head = {"Host": self.place.authority, "Accept-Encoding": "gzip, deflate", **headers}
        with self._lock:
            try:
                answer = self._answer(verb, path, body, head, deadline)
                reply = _reply(answer)
            except BaseException:
                self._drop()
                raise
            if self._http is None or self._http.sock is None:
                self._drop()
            self._used_at = time.monotonic()
        _WIRES.close_idle(self._used_at)
        return reply

    def close(self) -> None:
        """Close the connection; a call that another thread is making over it fails."""
        if self._lock.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._lock.release()
        elif (line := self._line) is not None:
            line.end()

    def close_if_idle(self, now: float) -> None:
        """Close the connection unless it is in use, or was within the last half minute."""
        if now - self._used_at > IDLE and self._lock.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._lock.release()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._line is not None

    def _answer(
        self, verb: str, path: str, body: bytes | None, head: dict[str, str], deadline: Deadline
    ) -> HTTPResponse:
        """Return the answer, its headers read; retry once if a kept connection was closed."""
        is_kept = self._is_usable()
        http, line = self._opened(deadline)
        try:
            http.request(verb, path, body, head)
            return http.getresponse()
        except (RemoteDisconnected, SSLEOFError, BrokenPipeError):
            if not is_kept or not line.is_unheard:
                raise
        except TimeoutError:
            deadline.left()
            if not is_kept or not line.is_unheard:  # otherwise the peer is gone
                raise
        self._drop()
        http, _ = self._opened(deadline)
        http.request(verb, path, body, head)
        return http.getresponse()

    def _is_usable(self) -> bool:
        """Return whether the connection is open and can be used again; close it if not."""
        if self._line is None:
            return False
        line, idle = self._line, time.monotonic() - self._used_at
        if idle <= IDLE and line.is_own and line.is_quiet():
            return True
        self._drop()
        return False

    def _opened(self, deadline: Deadline) -> tuple[HTTPConnection, BoundedSocket]:
        if self._http is None or self._line is None:
            self._line = dial(self.place, deadline)
            self._http = HTTPConnection(self.place.host, self.place.to_port)
            self._http.auto_open = 0
            self._http.sock = cast("None", self._line)  # a line has every method that it needs
        self._line.begin(deadline)
        return self._http, self._line

    def _drop(self) -> None:
        http, line = self._http, self._line
        self._http = self._line = None
        if http is not None:
            http.close()
        if line is not None:
            line.end()


class _Wires:
    """All connections of this process, so that those no longer used can be closed.

    Threads of plugins, paused plugins and finished replays leave some behind.
    """

    def __init__(self) -> None:
        self._wires: dict[int, weakref.ref[Wire]] = {}
        self._looked_at = 0.0

    def add(self, wire: Wire) -> None:
        """Track a connection for as long as somebody holds it."""
        key = id(wire)
        self._wires[key] = weakref.ref(wire, lambda _: self._forget(key))

    def close_idle(self, now: float) -> None:
        """Close those that are idle; check only now and then."""
        if now - self._looked_at < IDLE:
            return
        self._looked_at = now
        for one in list(self._wires.values()):
            wire = one()
            if wire is not None:
                wire.close_if_idle(now)

    def _forget(self, key: int) -> None:
        self._wires.pop(key, None)


_WIRES: Final = _Wires()


def _reply(answer: HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in answer.getheaders()}
    encoding = headers.get("content-encoding", "").strip().lower()
    body = _unpacked(encoding, _body(answer))
    return Reply(answer.status, answer.reason, headers, body)


def _body(answer: HTTPResponse) -> bytes:
    """Return the body as received; http.client would first allocate whatever size is announced."""
    if answer.length is not None:
        if answer.length > LARGEST:
            raise too_large(LARGEST)
        return answer.read()
    pieces = []
    while piece := answer.read(_PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def _unpacked(encoding: str, data: bytes) -> bytes:
    if encoding in {"", "identity"} or not data:
        return data
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise NotAnAnswerError(f"it is packed as {encoding[:20]!r}, which nobody asked for")
    try:
        return _unzipped(data, _ANY_ZIP)
    except zlib.error:
        if encoding != "deflate":
            raise NotAnAnswerError(f"it says {encoding}, and cannot be unpacked") from None
    try:
        return _unzipped(data, -zlib.MAX_WBITS)  # as some servers understand deflate
    except zlib.error:
        raise NotAnAnswerError(f"it says {encoding}, and cannot be unpacked") from None


def _unzipped(data: bytes, kind: int) -> bytes:
    """Unpack all members of a compressed body; stop where it would become too large."""
    unpacked: list[bytes] = []
    size = 0
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(kind)
        unpacked.append(member.decompress(data, LARGEST - size + 1))
        size += len(unpacked[-1])
        if size > LARGEST:
            raise too_large(LARGEST)
        if not member.eof:
            raise zlib.error("it ends too early")
        data = member.unused_data
        if not data.strip(b"\0"):
            return b"".join(unpacked)
    raise zlib.error("it has too many parts")
