"""What plugins print while the log is JSON: it becomes records, so that every line is one.

That goes for `print`, for what is written to the descriptors 1 and 2 by whatever language, and for
programs that inherit them. A log for people is left as it is: they see what is printed beside it.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

from sgevents_core.settings import LogSettings

logger = logging.getLogger("sgevents.printed")

_STDOUT: Final = 1
_STDERR: Final = 2
_ROOM: Final = 1 << 20
"""Bytes that may wait to be read: code in C may print them while it lets no thread run."""
_LONGEST: Final = 16_384
"""Bytes after which a line becomes a record though it has no end."""
_kept: Final[list[tuple[int, int]]] = []
"""While it is redirected: descriptor -> what it was before."""


class Printed:
    """Turns what is printed into records, where the log on standard error is JSON.

    Args:
        settings: `[log]` of the config.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._is_needed = _is_standard() and (
            settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
        )

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let `sys.stderr` be a stream of its own in the block, for the log to write to."""
        if not self._is_needed:
            yield
            return
        before = sys.stderr
        before.flush()
        own = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding="utf-8", errors="replace")
        sys.stderr = own
        try:
            yield
        finally:
            sys.stderr = before
            with suppress(OSError):
                own.close()

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Turn what is printed in the block into records; the log must be configured."""
        if not self._is_needed:
            yield
            return
        streams = sys.stdout, sys.stderr
        reads, writes = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # a system that allows less
            fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, _ROOM)
        _kept[:] = [(number, os.dup(number)) for number in (_STDOUT, _STDERR)]
        for number, _ in _kept:
            os.dup2(writes, number)
        os.close(writes)
        sys.stdout, sys.stderr = _stream(_STDOUT), _stream(_STDERR)
        thread = threading.Thread(target=_read, args=(reads,), name="printed", daemon=True)
        thread.start()
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr, *streams):
                with suppress(OSError, ValueError):
                    stream.flush()
            sys.stdout, sys.stderr = streams
            put_back()
            thread.join(1.0)  # a program that goes on may keep the other end


def put_back() -> None:
    """Let the descriptors be what they were: for this process, or what takes its place."""
    while _kept:
        number, before = _kept.pop()
        os.dup2(before, number)
        os.close(before)


def _is_standard() -> bool:
    """Whether Python's streams are those of the process, and not somebody's who listens in."""
    try:
        return sys.stdout.fileno() == _STDOUT and sys.stderr.fileno() == _STDERR
    except (AttributeError, OSError, ValueError):
        return False


def _stream(number: int) -> TextIO:
    file = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def _read(reads: int) -> None:
    """Make a record of each line, until nobody can print any more."""
    rest = b""
    with os.fdopen(reads, "rb", buffering=0) as pipe:
        while more := pipe.read(1 << 16):
            *lines, rest = (rest + more).split(b"\n")
            if len(rest) > _LONGEST:
                lines, rest = [*lines, rest], b""
            for line in lines:
                _tell(line)
    _tell(rest)


def _tell(line: bytes) -> None:
    text = line.decode("utf-8", "replace").strip()
    if text:
        logger.info("%s", text, extra={"action": "plugin.printed"})
