"""Writing log records in threads of their own: the thread that logs never waits for I/O."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Final, Protocol, TypeAlias

MOST_WAITING: Final = 8192
"""The most records, or pieces of `PIECE` characters of long ones, queued for one thread."""
PIECE: Final = 4096
COMPLAIN_EVERY: Final = 60.0
"""Seconds between two complaints that a log cannot be written."""
FILE_MODE: Final = 0o640
_AT_ONCE: Final = 512
"""The most records written in one go."""
_AGAIN_AFTER: Final = 0.05
"""Seconds after which a terminal that accepts nothing is tried again."""

Complain: TypeAlias = Callable[[str], None]


class Sink(Protocol):
    """A destination of records: `write` may take any time, and raises OSError."""

    dropped: deque[None]
    """One entry for each record dropped because too many were queued."""

    def write(self, texts: Sequence[str]) -> None:
        """Write records, each a text with its line end."""

    def close(self) -> None:
        """Close what was opened."""


class Writer:
    """A thread that writes to some sinks, in the order of `put`.

    Args:
        name: The thread's name.
        says: Returns the record which says how many were dropped, in the sink's form.
    """

    def __init__(self, name: str, says: Callable[[Sink, int], str]) -> None:
        self._says = says
        self._queue: SimpleQueue[tuple[Sink, str] | threading.Event | None] = SimpleQueue()
        self._complained = float("-inf")
        self.complain: Complain = lambda text: None
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, args=(self._queue,), name=name, daemon=True
        )
        self._thread.start()
        os.register_at_fork(after_in_child=self._write_here)

    def put(self, sink: Sink, text: str) -> None:
        """Queue a record to be written soon; if too many are queued, drop and count it."""
        if self._thread is None:
            self._write([(sink, text)])
        elif self._queue.qsize() >= MOST_WAITING:
            sink.dropped.append(None)
        else:
            self._queue.put((sink, text))
            for _ in range(len(text) // PIECE):  # a long record counts as several
                self._queue.put((sink, ""))

    def flush(self, within: float) -> bool:
        """Wait until what is queued now is written; return False if that takes too long."""
        if self._thread is None:
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(within)

    def close(self, within: float) -> bool:
        """Write what is queued, and end; return False if that takes too long (seconds)."""
        if not self.flush(within):
            return False
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(within)
        return True

    def _write_here(self) -> None:
        """Write at once in a forked process, which does not have the thread."""
        self._thread = None
        self._queue = SimpleQueue()

    def _run(self, queue: SimpleQueue[tuple[Sink, str] | threading.Event | None]) -> None:
        while (item := queue.get()) is not None:
            batch = []
            while isinstance(item, tuple):
                batch.append(item)
                if len(batch) >= _AT_ONCE:
                    break
                try:
                    item = queue.get_nowait()
                except Empty:
                    break
            self._write(batch)
            if isinstance(item, threading.Event):
                item.set()
            elif item is None:
                return

    def _write(self, batch: Sequence[tuple[Sink, str]]) -> None:
        for sink in dict.fromkeys(sink for sink, _ in batch):
            texts = [text for to, text in batch if to is sink and text]
            dropped = len(sink.dropped)
            if dropped:
                texts.append(self._says(sink, dropped))
            try:
                sink.write(texts)
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._complain(error)
            else:
                for _ in range(dropped):
                    sink.dropped.popleft()

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained > COMPLAIN_EVERY:
            self._complained = now
            self.complain(
                f"sgevents: a log cannot be written: {error}. Make space, or let the daemon write"
                " it; until then its records are lost, and everything else continues\n"
            )


class StreamSink:
    """An open stream; its descriptor is duplicated, so that closing the stream cannot silence it.

    Args:
        stream: The stream, usually `sys.stderr`.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.dropped: deque[None] = deque()
        self._stream = stream
        self._descriptor: int | None = None
        self._number = -1
        with suppress(OSError, ValueError):  # a stream without a descriptor is written itself
            self._number = stream.fileno()
            self._descriptor = os.dup(self._number)
            self._identity = _identity(self._descriptor)

    def write(self, texts: Sequence[str]) -> None:
        """Write records, and wait while the terminal accepts nothing."""
        text = "".join(texts)
        if self._descriptor is None:
            self._stream.write(text)
            self._stream.flush()
            return
        if _identity(self._descriptor) != self._identity:  # somebody closed it
            if _identity(self._number) != self._identity:
                raise OSError("standard error was closed")
            self._descriptor = os.dup(self._number)
        _write_all(self._descriptor, text.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Close its own descriptor; the stream is unaffected."""
        if self._descriptor is not None and _identity(self._descriptor) == self._identity:
            os.close(self._descriptor)


class FileSink:
    """A file with rotation.

    Args:
        path: The file; created if absent.
        keep: How many older files are kept beside it.
        most: The size in bytes at which it is rotated.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, keep: int, most: int) -> None:
        self.dropped: deque[None] = deque()
        self._path = path
        self._keep = keep
        self._most = most
        self._size = 0
        self._open()

    def write(self, texts: Sequence[str]) -> None:
        """Write records, rotating the file before it grows too large; an error names the file."""
        try:
            self._write(texts)
        except OSError as error:
            error.filename = error.filename or str(self._path)
            raise

    def _write(self, texts: Sequence[str]) -> None:
        if not self._is_there():
            self._open()
        chunk: list[bytes] = []
        size = self._size
        for text in texts:
            encoded = text.encode("utf-8", "backslashreplace")
            if size and size + len(encoded) > self._most and self._path.is_file():
                _write_all(self._descriptor, b"".join(chunk))
                self._rotate()
                chunk, size = [], 0
            chunk.append(encoded)
            size += len(encoded)
        _write_all(self._descriptor, b"".join(chunk))
        self._size = size

    def close(self) -> None:
        """Close it."""
        if _identity(self._descriptor) == self._identity:
            os.close(self._descriptor)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        self._identity = _identity(self._descriptor)
        self._size = os.fstat(self._descriptor).st_size

    def _is_there(self) -> bool:
        """Return whether the file is still open, and neither moved nor removed."""
        if _identity(self._descriptor) != self._identity:
            return False
        with suppress(OSError):
            found = self._path.stat()
            if (found.st_dev, found.st_ino) == self._identity:
                return True
        os.close(self._descriptor)
        return False

    def _rotate(self) -> None:
        if not self._keep:
            os.ftruncate(self._descriptor, 0)
            return
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else None
            with suppress(FileNotFoundError):
                (older or self._path).replace(self._path.with_name(f"{self._path.name}.{number}"))
        os.close(self._descriptor)
        self._open()


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what distinguishes an open file from others, None if nothing is open there."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another program made the terminal non-blocking
            time.sleep(_AGAIN_AFTER)
