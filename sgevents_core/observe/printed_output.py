"""Turn plugins' output into records, if the log is JSON or does not go to a terminal.

So every line is a record, contains no secret, and cannot pass for another record or, as `<0>`, for
a priority of journald. This covers `print`, anything written to descriptors 1 and 2 in any
language, and programs that inherit them. On a terminal, people see the output unchanged beside the
log, and can debug there.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Final, TextIO

from sgevents_core.observe.log_formats import PRINTED_LOGGER
from sgevents_core.observe.redaction import Redactor
from sgevents_core.settings import LogSettings

logger = logging.getLogger(PRINTED_LOGGER)

_STDOUT_DESCRIPTOR: Final = 1
_STDERR_DESCRIPTOR: Final = 2
_STREAM_DESCRIPTORS: Final = {
    "stdout": _STDOUT_DESCRIPTOR,
    "stderr": _STDERR_DESCRIPTOR,
    "__stdout__": _STDOUT_DESCRIPTOR,  # buffers up to 8 KiB if it is not a terminal
    "__stderr__": _STDERR_DESCRIPTOR,
}
"""Python's streams -> their descriptors; each is replaced by an unbuffered stream."""
_PIPE_CAPACITY: Final = 1 << 20
"""The pipe's size in bytes: C code may print this much while no other thread can run."""
_LONGEST_LINE: Final = 16_384
"""The bytes after which an unfinished line becomes a record."""
_LONGEST_SECRET: Final = 4_096
"""Bytes at the end of such a piece that are held for the next, since a secret may begin there."""
_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
_redirected: Final[list[tuple[int, int]]] = []
"""Descriptor -> its original, while it is redirected."""


class PrintedOutput:
    """Converts printed output into records, unless it is for a person at a terminal.

    Args:
        settings: `[log]` of the config.
        redactor: Removes secrets from a line that is too long for one record.
    """

    def __init__(self, settings: LogSettings, redactor: Redactor) -> None:
        self._redactor = redactor
        self._is_needed = _is_standard() and (settings.format == "json" or not sys.stderr.isatty())

    @contextmanager
    def separate_log_stream(self) -> Iterator[None]:
        """Give the log a stream of its own as `sys.stderr` while the block lasts."""
        if not self._is_needed:
            yield
            return
        original_stderr = sys.stderr
        original_stderr.flush()
        log_stream = os.fdopen(
            os.dup(_STDERR_DESCRIPTOR), "w", buffering=1, encoding="utf-8", errors="replace"
        )
        sys.stderr = log_stream
        try:
            yield
        finally:
            sys.stderr = original_stderr
            with suppress(OSError):
                log_stream.close()

    @contextmanager
    def captured(self) -> Iterator[None]:
        """Turn the output printed in the block into records; the log must be configured."""
        if not self._is_needed:
            yield
            return
        original_streams = {name: getattr(sys, name) for name in _STREAM_DESCRIPTORS}
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # the system may allow less
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE_CAPACITY)
        _redirected[:] = [
            (descriptor, os.dup(descriptor))
            for descriptor in (_STDOUT_DESCRIPTOR, _STDERR_DESCRIPTOR)
        ]
        for descriptor, _ in _redirected:
            os.dup2(write_end, descriptor)
        os.close(write_end)
        for stream_name, descriptor in _STREAM_DESCRIPTORS.items():
            setattr(sys, stream_name, unbuffered_stream(descriptor))
        reader_thread = threading.Thread(
            target=_read_lines, args=(read_end, self._redactor), name="printed", daemon=True
        )
        reader_thread.start()
        try:
            yield
        finally:
            for stream_name, original_stream in original_streams.items():
                for open_stream in (getattr(sys, stream_name), original_stream):
                    with suppress(OSError, ValueError):
                        open_stream.flush()
                setattr(sys, stream_name, original_stream)
            restore_descriptors()
            reader_thread.join(1.0)  # a program that still runs may hold the other end open


def restore_descriptors() -> None:
    """Restore the descriptors, for this process or for its successor."""
    while _redirected:
        descriptor, original_descriptor = _redirected.pop()
        os.dup2(original_descriptor, descriptor)
        os.close(original_descriptor)


def _is_standard() -> bool:
    """Return whether Python's streams are those of the process, not replaced to capture output."""
    try:
        return (
            sys.stdout.fileno() == _STDOUT_DESCRIPTOR and sys.stderr.fileno() == _STDERR_DESCRIPTOR
        )
    except (AttributeError, OSError, ValueError):
        return False


def is_redirected() -> bool:
    """Return whether this process's output becomes records."""
    return bool(_redirected)


def unbuffered_stream(descriptor: int) -> TextIO:
    """Return an unbuffered stream for a descriptor."""
    raw_file = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw_file),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


class PrintedLines:
    """The lines that one process prints, each of which becomes a record.

    Args:
        redactor: Removes secrets from a line that is too long for one record.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._unfinished_line = b""

    def add(self, printed: bytes, fields: Mapping[str, object] = _NO_FIELDS) -> None:
        """Make a record of each line completed by new output.

        Args:
            printed: The output since the last call.
            fields: Further fields of the records.
        """
        *complete_lines, rest = (self._unfinished_line + printed).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            line_start, rest = _split_long_line(rest, self._redactor)
            complete_lines.append(line_start)
        self._unfinished_line = rest
        for printed_line in complete_lines:
            _log_line(printed_line, fields)

    def end(self, fields: Mapping[str, object] = _NO_FIELDS) -> None:
        """Make a record of the remaining output, even without a line end."""
        _log_line(self._unfinished_line, fields)
        self._unfinished_line = b""


def _read_lines(read_end: int, redactor: Redactor) -> None:
    """Make a record of each line, until no process holds the other end."""
    printed_lines = PrintedLines(redactor)
    with os.fdopen(read_end, "rb", buffering=0) as pipe_file:
        while received_bytes := pipe_file.read(1 << 16):
            printed_lines.add(received_bytes)
    printed_lines.end()


def _split_long_line(printed_line: bytes, redactor: Redactor) -> tuple[bytes, bytes]:
    """Return the beginning of an unfinished line, and the rest, which may hold part of a secret.

    Whole secrets are removed first, so that none is cut in two.
    """
    redacted_text = redactor(printed_line.decode("utf-8", "replace")).encode()
    return redacted_text[:-_LONGEST_SECRET], redacted_text[-_LONGEST_SECRET:]


def _log_line(printed_line: bytes, fields: Mapping[str, object]) -> None:
    line_text = printed_line.decode("utf-8", "replace").strip()
    if line_text:
        logger.info("%s", line_text, extra={"action": "plugin.printed", **fields})
