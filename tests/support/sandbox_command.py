"""The command `sgevents sandbox` in a process of its own, and a client of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shotgun_api3.shotgun import Shotgun

SANDBOX_COMMAND = [sys.executable, "-c", "from sgevents_core.cli import main; main()", "sandbox"]


@contextmanager
def running_sandbox(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command's process, and the values of the [site] table that it prints."""
    with subprocess.Popen(
        [*SANDBOX_COMMAND, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            printed_lines: list[str] = []
            for printed_line in process.stdout:
                printed_lines.append(printed_line)
                if printed_line.startswith("api_key"):
                    break
            site_values = dict(
                re.findall(r'^(\w+) = "(.*)"$', "".join(printed_lines), re.MULTILINE)
            )
            assert "[site]\n" in printed_lines
            yield process, site_values
        finally:
            process.kill()


def connect_client(site_values: dict[str, str]) -> Any:
    """Return the unmodified client with the values that the command printed."""
    return Shotgun(site_values["url"], site_values["script_name"], site_values["api_key"])
