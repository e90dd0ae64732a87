"""Commands on a terminal: colours where they help, none where they are not wanted."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

CONFIG = '[site]\nurl = "ftp://studio"\nscript_name = "s"\napi_key = { env = "PATH" }\n'


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command prints on a terminal of its own."""
    terminal_end, child_end = pty.openpty()
    around: Mapping[str, str] = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment}
    command = [sys.executable, "-m", "sgevents_core", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=child_end, stderr=child_end, env=around):
        os.close(child_end)
        printed = bytearray()
        with suppress(OSError):  # how the end of a terminal reads
            while output_part := os.read(terminal_end, 4096):
                printed += output_part
    os.close(terminal_end)
    return printed.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration that is wrong."""
    (tmp_path / "sgevents.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_terminal_gets_colours(folder: Path) -> None:
    """What is wrong is seen at once."""
    assert "\x1b[" in on_a_terminal(folder, "check")


def test_no_color_is_heeded(folder: Path) -> None:
    """As it is by other programs."""
    printed = on_a_terminal(folder, "check", NO_COLOR="1")
    assert "site.url" in printed
    assert "\x1b" not in printed.replace("\x1b[1m", "").replace("\x1b[0m", "")
