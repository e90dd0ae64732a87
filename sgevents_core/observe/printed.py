"""Turning what plugins print into records, if the log is JSON or does not go to a terminal.

So every line is a record, contains no secret, and cannot pass for another record or, as `<0>`, for
a priority of journald. This covers `print`, anything written to the descriptors 1 and 2 in any
language, and programs that inherit them. On a terminal people see it as it is, beside the log, and
can debug there.
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

from sgevents_core.observe.formats import PRINTED_LOGGER
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

logger = logging.getLogger(PRINTED_LOGGER)

_STDOUT: Final = 1
_STDERR: Final = 2
_STREAMS: Final = {
    "stdout": _STDOUT,
    "stderr": _STDERR,
    "__stdout__": _STDOUT,  # keeps up to 8 KiB in memory if it does not go to a terminal
    "__stderr__": _STDERR,
}
"""Python's streams -> their descriptors; all of them are replaced by some that keep nothing."""
_ROOM: Final = 1 << 20
"""Bytes that may wait to be read: code in C may print them without letting any thread run."""
_LONGEST: Final = 16_384
"""The bytes after which an unfinished line becomes a record."""
_LONGEST_SECRET: Final = 4_096
"""Bytes at the end of such a piece that wait for the next, since a secret may begin in them."""
_kept: Final[list[tuple[int, int]]] = []
"""Descriptor -> its original, while it is redirected."""


class Printed:
    """A converter of what is printed into records, unless it is for a person at a terminal.

    Args:
        settings: `[log]` of the config.
        redact: Removes secrets from a line that is too long for one record.
    """

    def __init__(self, settings: LogSettings, redact: Redactor) -> None:
        self._redact = redact
        self._is_needed = _is_standard() and (settings.format == "json" or not sys.stderr.isatty())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Give the log a stream of its own as `sys.stderr` while the block lasts."""
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
        before = {name: getattr(sys, name) for name in _STREAMS}
        reads, writes = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # the system may allow less
            fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, _ROOM)
        _kept[:] = [(number, os.dup(number)) for number in (_STDOUT, _STDERR)]
        for number, _ in _kept:
            os.dup2(writes, number)
        os.close(writes)
        for name, number in _STREAMS.items():
            setattr(sys, name, _stream(number))
        thread = threading.Thread(
            target=_read, args=(reads, self._redact), name="printed", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            for name, stream in before.items():
                for one in (getattr(sys, name), stream):
                    with suppress(OSError, ValueError):
                        one.flush()
                setattr(sys, name, stream)
            put_back()
            thread.join(1.0)  # a program that still runs may keep the other end


def put_back() -> None:
    """Restore the descriptors, for this process or for its successor."""
    while _kept:
        number, before = _kept.pop()
        os.dup2(before, number)
        os.close(before)


def _is_standard() -> bool:
    """Return whether Python's streams are those of the process, not replaced to capture output."""
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


def _read(reads: int, redact: Redactor) -> None:
    """Make a record of each line, until nothing can print any more."""
    rest = b""
    with os.fdopen(reads, "rb", buffering=0) as pipe:
        while more := pipe.read(1 << 16):
            *lines, rest = (rest + more).split(b"\n")
            if len(rest) > _LONGEST:
                begin, rest = _cut(rest, redact)
                lines.append(begin)
            for line in lines:
                _tell(line)
    _tell(rest)


def _cut(line: bytes, redact: Redactor) -> tuple[bytes, bytes]:
    """Return the beginning of an unfinished line, and a rest that may hold part of a secret.

    Whole secrets are removed first, so that none is cut in two.
    """
    text = redact(line.decode("utf-8", "replace")).encode()
    return text[:-_LONGEST_SECRET], text[-_LONGEST_SECRET:]


def _tell(line: bytes) -> None:
    text = line.decode("utf-8", "replace").strip()
    if text:
        logger.info("%s", text, extra={"action": "plugin.printed"})
