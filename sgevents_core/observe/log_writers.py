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

MAX_QUEUED: Final = 8192
"""The most records, or pieces of `PIECE_LENGTH` characters of long ones, queued for one thread."""
PIECE_LENGTH: Final = 4096
COMPLAINT_INTERVAL: Final = 60.0
"""Seconds between two complaints that a log cannot be written."""
FILE_MODE: Final = 0o640
_MAX_BATCH: Final = 512
"""The most records written in one go."""
_RETRY_DELAY: Final = 0.05
"""Seconds after which a terminal that accepts nothing is tried again."""

ReportTrouble: TypeAlias = Callable[[str], None]


class LogSink(Protocol):
    """A destination of records: `write` may take any time, and raises OSError."""

    dropped: deque[None]
    """One entry for each record dropped because too many were queued."""

    def write(self, record_texts: Sequence[str]) -> None:
        """Write records, each a text with its line end."""

    def close(self) -> None:
        """Close the destination."""


class LogWriter:
    """A thread that writes records to sinks, in the order of `put`.

    Args:
        thread_name: The thread's name.
        dropped_text: Returns the record of how many records were dropped, in the sink's format.
    """

    def __init__(self, thread_name: str, dropped_text: Callable[[LogSink, int], str]) -> None:
        self._dropped_text = dropped_text
        self._queue: SimpleQueue[tuple[LogSink, str] | threading.Event | None] = SimpleQueue()
        self._complained_at = float("-inf")
        self.report_trouble: ReportTrouble = lambda record_text: None
        self._writer_thread: threading.Thread | None = threading.Thread(
            target=self._write_queued, args=(self._queue,), name=thread_name, daemon=True
        )
        self._writer_thread.start()
        os.register_at_fork(after_in_child=self._write_without_thread)

    def put(self, sink: LogSink, record_text: str) -> None:
        """Queue a record to be written soon; if too many are queued, drop and count it."""
        if self._writer_thread is None:
            self._write_batch([(sink, record_text)])
        elif self._queue.qsize() >= MAX_QUEUED:
            sink.dropped.append(None)
        else:
            self._queue.put((sink, record_text))
            for _ in range(len(record_text) // PIECE_LENGTH):  # a long record counts as several
                self._queue.put((sink, ""))

    def flush(self, timeout: float) -> bool:
        """Wait until the records queued now are written; return False if that takes too long."""
        if self._writer_thread is None:
            return True
        flush_done = threading.Event()
        self._queue.put(flush_done)
        return flush_done.wait(timeout)

    def close(self, timeout: float) -> bool:
        """Write the queued records, and end; return False if that takes too long (seconds)."""
        if not self.flush(timeout):
            return False
        self._queue.put(None)
        if self._writer_thread is not None:
            self._writer_thread.join(timeout)
        return True

    def _write_without_thread(self) -> None:
        """Write at once in a forked process, which does not have the thread."""
        self._writer_thread = None
        self._queue = SimpleQueue()

    def _write_queued(
        self, queue: SimpleQueue[tuple[LogSink, str] | threading.Event | None]
    ) -> None:
        while (queue_item := queue.get()) is not None:
            batch = []
            while isinstance(queue_item, tuple):
                batch.append(queue_item)
                if len(batch) >= _MAX_BATCH:
                    break
                try:
                    queue_item = queue.get_nowait()
                except Empty:
                    break
            self._write_batch(batch)
            if isinstance(queue_item, threading.Event):
                queue_item.set()
            elif queue_item is None:
                return

    def _write_batch(self, batch: Sequence[tuple[LogSink, str]]) -> None:
        for sink in dict.fromkeys(sink for sink, _ in batch):
            record_texts = [text for target_sink, text in batch if target_sink is sink and text]
            dropped_count = len(sink.dropped)
            if dropped_count:
                record_texts.append(self._dropped_text(sink, dropped_count))
            try:
                sink.write(record_texts)
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self._complain_at_most(error)
            else:
                for _ in range(dropped_count):
                    sink.dropped.popleft()

    def _complain_at_most(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_at > COMPLAINT_INTERVAL:
            self._complained_at = now
            self.report_trouble(
                f"sgevents: a log cannot be written: {error}. Make space, or let the daemon write"
                " it; until then its records are lost, and everything else continues\n"
            )


class StreamSink:
    """An open stream; its descriptor is duplicated, so that closing the stream cannot silence it.

    Args:
        output_stream: The stream, usually `sys.stderr`.
    """

    def __init__(self, output_stream: IO[str]) -> None:
        self.dropped: deque[None] = deque()
        self._stream = output_stream
        self._descriptor: int | None = None
        self._original_descriptor = -1
        with suppress(OSError, ValueError):  # a stream without a descriptor cannot be duplicated
            self._original_descriptor = output_stream.fileno()
            self._descriptor = os.dup(self._original_descriptor)
            self._file_identity = _file_identity(self._descriptor)

    def write(self, record_texts: Sequence[str]) -> None:
        """Write records, and wait while the terminal accepts nothing."""
        joined_text = "".join(record_texts)
        if self._descriptor is None:
            self._stream.write(joined_text)
            self._stream.flush()
            return
        if _file_identity(self._descriptor) != self._file_identity:  # other code closed the stream
            if _file_identity(self._original_descriptor) != self._file_identity:
                raise OSError("standard error was closed")
            self._descriptor = os.dup(self._original_descriptor)
        _write_all(self._descriptor, joined_text.encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Close its own descriptor; the stream is unaffected."""
        if self._descriptor is not None and _file_identity(self._descriptor) == self._file_identity:
            os.close(self._descriptor)


class FileSink:
    """A file with rotation.

    Args:
        path: The file; created if absent.
        kept_files: How many older files are kept beside it.
        max_bytes: The size in bytes at which it is rotated.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, kept_files: int, max_bytes: int) -> None:
        self.dropped: deque[None] = deque()
        self._path = path
        self._kept_files = kept_files
        self._max_bytes = max_bytes
        self._size = 0
        self._open_file()

    def write(self, record_texts: Sequence[str]) -> None:
        """Write records, rotating the file before it grows too large; an error names the file."""
        try:
            self._write_records(record_texts)
        except OSError as error:
            error.filename = error.filename or str(self._path)
            raise

    def _write_records(self, record_texts: Sequence[str]) -> None:
        if not self._is_current_file():
            self._open_file()
        encoded_records: list[bytes] = []
        size = self._size
        for record_text in record_texts:
            encoded_text = record_text.encode("utf-8", "backslashreplace")
            if size and size + len(encoded_text) > self._max_bytes and self._path.is_file():
                _write_all(self._descriptor, b"".join(encoded_records))
                self._rotate()
                encoded_records, size = [], 0
            encoded_records.append(encoded_text)
            size += len(encoded_text)
        _write_all(self._descriptor, b"".join(encoded_records))
        self._size = size

    def close(self) -> None:
        """Close it."""
        if _file_identity(self._descriptor) == self._file_identity:
            os.close(self._descriptor)

    def _open_file(self) -> None:
        open_flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, open_flags, FILE_MODE)
        self._file_identity = _file_identity(self._descriptor)
        self._size = os.fstat(self._descriptor).st_size

    def _is_current_file(self) -> bool:
        """Return whether the file is still open, and neither moved nor removed."""
        if _file_identity(self._descriptor) != self._file_identity:
            return False
        with suppress(OSError):
            file_status = self._path.stat()
            if (file_status.st_dev, file_status.st_ino) == self._file_identity:
                return True
        os.close(self._descriptor)
        return False

    def _rotate(self) -> None:
        if not self._kept_files:
            os.ftruncate(self._descriptor, 0)
            return
        for file_number in range(self._kept_files, 0, -1):
            older_file = (
                self._path.with_name(f"{self._path.name}.{file_number - 1}")
                if file_number > 1
                else None
            )
            with suppress(FileNotFoundError):
                (older_file or self._path).replace(
                    self._path.with_name(f"{self._path.name}.{file_number}")
                )
        os.close(self._descriptor)
        self._open_file()


def _file_identity(descriptor: int) -> tuple[int, int] | None:
    """Return the identity of an open file, None if nothing is open there."""
    try:
        file_status = os.fstat(descriptor)
    except OSError:
        return None
    return file_status.st_dev, file_status.st_ino


def _write_all(descriptor: int, encoded_content: bytes) -> None:
    remaining = memoryview(encoded_content)
    while remaining:
        try:
            remaining = remaining[os.write(descriptor, remaining) :]
        except BlockingIOError:  # another program made the terminal non-blocking
            time.sleep(_RETRY_DELAY)
