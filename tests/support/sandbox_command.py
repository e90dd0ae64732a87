"""The command `sgevents sandbox` in a process of its own, and a client of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shotgun_api3.shotgun import Shotgun

COMMAND = [sys.executable, "-c", "from sgevents_core.cli import main; main()", "sandbox"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command's process, and the values of the [site] table that it prints."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("api_key"):
                    break
            values = dict(re.findall(r'^(\w+) = "(.*)"$', "".join(lines), re.MULTILINE))
            assert "[site]\n" in lines
            yield process, values
        finally:
            process.kill()


def client(values: dict[str, str]) -> Any:
    """Return the unmodified client with the values that the command printed."""
    return Shotgun(values["url"], values["script_name"], values["api_key"])
