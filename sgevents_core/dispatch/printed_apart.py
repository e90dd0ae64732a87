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

_MOST_KEPT: Final = 1 << 20
"""The most bytes shown; anything printed after them is dropped."""
_MOST_LINES: Final = 100
_MOST_OF_A_LINE: Final = 1_000
_AT_ONCE: Final = 1 << 16
_READS: Final = 16
"""The most reads at once, since a plugin may print without end."""


class PrintedApart:
    """The standard streams of such processes, one after another.

    Args:
        redact: Removes secrets; it knows all of them only at the end.
    """

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._reads, self._writes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self._writes, True)
        self._kept = b""
        self._left_out = 0

    def fileno(self) -> int:
        """Return a file descriptor that is readable once something is printed."""
        return self._reads

    def take_over(self) -> None:
        """Redirect everything this process prints from now on to here, C code included.

        Its standard input is empty: it cannot ask anybody.
        """
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdout.flush()
        sys.stderr.flush()
        for number in (1, 2):
            os.dup2(self._writes, number)
        file = io.FileIO(2, "w", closefd=False)
        stream = io.TextIOWrapper(
            file, encoding="utf-8", errors="backslashreplace", write_through=True
        )
        # The original streams keep text in memory, which os._exit at the end would lose.
        sys.stdout = sys.stderr = stream
        sys.__stdout__ = sys.__stderr__ = stream  # type: ignore[misc]  # final for other code

    def hear(self) -> None:
        """Read what has been printed."""
        with suppress(BlockingIOError):
            for _ in range(_READS):
                more = os.read(self._reads, _AT_ONCE)
                room = max(0, _MOST_KEPT - len(self._kept))
                self._kept += more[:room]
                self._left_out += len(more[room:])

    def close(self) -> None:
        """Stop reading, and show on standard error what was printed.

        Each line is escaped so that it cannot imitate another, and is shown once, even though
        plugins are loaded again when one of them has ended the process.
        """
        os.close(self._reads)
        os.close(self._writes)
        found = self._redact(self._kept.decode("utf-8", "replace")).split("\n")
        lines = [line for line in dict.fromkeys(found) if line.strip()]
        for line in lines[:_MOST_LINES]:
            short = line if len(line) <= _MOST_OF_A_LINE else f"{line[:_MOST_OF_A_LINE]} …"
            sys.stderr.write(f"[printed] {one_line(short)}\n")
        more = len(lines) - _MOST_LINES
        if more > 0 or self._left_out:
            sys.stderr.write("[printed] … and more\n")
