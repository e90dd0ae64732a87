"""The output of plugins in separate processes that load them for inspection, shown as text.

It is held back until the last of them has ended: only then are all secrets in it known.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final

from sgevents_core.observe.redaction import Redactor
from sgevents_core.printable import one_line

_MAX_BYTES: Final = 1 << 20
"""The most bytes shown; anything printed after them is dropped."""
_MAX_LINES: Final = 100
_MAX_LINE_LENGTH: Final = 1_000
_READ_SIZE: Final = 1 << 16
_MAX_READS: Final = 16
"""The most reads at once, since a plugin may print without end."""


class TrialOutput:
    """The standard streams of such processes, one after another.

    Args:
        redact_secrets: Removes secrets; it knows all of them only at the end.
    """

    def __init__(self, redact_secrets: Redactor) -> None:
        self._redact_secrets = redact_secrets
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._write_end, True)
        self._kept_bytes = b""
        self._dropped_count = 0

    def fileno(self) -> int:
        """Return a file descriptor that is readable once something is printed."""
        return self._read_end

    def redirect_streams(self) -> None:
        """Redirect everything this process prints from now on to here, C code included.

        Its standard input is empty: it cannot ask anybody.
        """
        null_descriptor = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null_descriptor, 0)
        os.close(null_descriptor)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            os.dup2(self._write_end, descriptor)
        raw_stream = io.FileIO(2, "w", closefd=False)
        text_stream = io.TextIOWrapper(
            raw_stream, encoding="utf-8", errors="backslashreplace", write_through=True
        )
        # The original streams keep text in memory, which os._exit at the end would lose.
        sys.stdout = sys.stderr = text_stream
        sys.__stdout__ = sys.__stderr__ = text_stream  # type: ignore[misc]  # final for other code

    def read_printed(self) -> None:
        """Read the output printed since the last call."""
        with suppress(BlockingIOError):
            for _ in range(_MAX_READS):
                printed_bytes = os.read(self._read_end, _READ_SIZE)
                free_bytes = max(0, _MAX_BYTES - len(self._kept_bytes))
                self._kept_bytes += printed_bytes[:free_bytes]
                self._dropped_count += len(printed_bytes[free_bytes:])

    def close(self) -> None:
        """Stop reading, and show the output on standard error.

        Each line is escaped so that it cannot imitate another, and is shown once, even though
        plugins are loaded again when one of them has ended the process.
        """
        os.close(self._read_end)
        os.close(self._write_end)
        printed_lines = self._redact_secrets(self._kept_bytes.decode("utf-8", "replace")).split(
            "\n"
        )
        shown_lines = [
            printed_line for printed_line in dict.fromkeys(printed_lines) if printed_line.strip()
        ]
        for printed_line in shown_lines[:_MAX_LINES]:
            short_line = (
                printed_line
                if len(printed_line) <= _MAX_LINE_LENGTH
                else f"{printed_line[:_MAX_LINE_LENGTH]} …"
            )
            sys.stderr.write(f"[printed] {one_line(short_line)}\n")
        hidden_count = len(shown_lines) - _MAX_LINES
        if hidden_count > 0 or self._dropped_count:
            sys.stderr.write("[printed] … and more\n")
