"""The command `sgevents console` in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from waiting import wait_until


class ServedConsole(NamedTuple):
    """A running console: its process, its address, and the file of its output."""

    process: subprocess.Popen[bytes]
    address: str
    output: Path


@contextmanager
def served_console(
    *configs: Path, environment: Mapping[str, str] | None = None
) -> Iterator[ServedConsole]:
    """Serve the sites of some configurations while the block lasts.

    Args:
        configs: The configurations.
        environment: The variables of the console's process; by default, those of this one.
    """
    output = configs[0].with_name("console-output.txt")
    command = [sys.executable, "-m", "sgevents_core", "console"]
    for config in configs:
        command += ["--config", str(config)]
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        yield ServedConsole(process, served_address(output), output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def served_address(output: Path) -> str:
    """Return the address that a console has printed, once it has."""
    return _printed(output, r"The console is at\s+(https?://\S+)")


def served_token(output: Path) -> str:
    """Return the token in the file that a console has named."""
    token_file = _printed(output, r"The token to sign in is in\s+(\S+)\s")
    return Path(token_file).read_text(encoding="utf-8").strip()


def _printed(output: Path, pattern: str) -> str:
    def found() -> re.Match[str] | None:
        return re.search(pattern, output.read_text(encoding="utf-8", errors="replace"))

    wait_until(found, what=f"the console prints {pattern}")
    match = found()
    assert match is not None
    return match[1]
