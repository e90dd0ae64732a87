"""The tutorial, done word for word: its commands typed, its files written, its output seen."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from author_workshop import limit_metadata_version
from doc_pages import DOCS, ROOT, blocks
from waiting import PATIENCE

PAGE = DOCS / "tutorial" / "first-plugin.md"
FILES = {
    "from sgevents_core": "hello/studio_hello.py",
    "[build-system]": "hello/pyproject.toml",
    "import shotgun_api3": "make_version.py",
}
"""How a sample begins -> the file that the page says it is."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plain(text: str) -> str:
    """Text without colours, times, and the widths of columns."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


class Reader:
    """Somebody who follows the page: types in a folder, with a terminal for what goes on running.

    Args:
        folder: Where they work; the clone is beside them as `sgevents`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.index_port = free_port()
        self.printed = ""
        self._running: list[tuple[subprocess.Popen[bytes], int]] = []
        (folder / "sgevents").symlink_to(ROOT)
        python = str(Path(sys.executable).parent)
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))},
            "PATH": os.pathsep.join([python, os.environ["PATH"]]),
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_INDEX": "1",
            "PIP_NO_COMPILE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def type(self, line: str) -> None:
        """Type a line; what runs until it is stopped gets a terminal of its own."""
        line = self.with_port(line).replace("-m venv", "-m venv --without-pip")
        if line.startswith(("sgevents sandbox", "sgevents run", "pypi-server run")):
            self._leave_running(line)
            return
        if "-m build" in line:
            limit_metadata_version(self.folder / "hello" / "pyproject.toml")
            line = line.replace("-m build", "-m build --no-isolation")
        run = subprocess.run(
            self._command(line),
            cwd=self.folder,
            env={**self._environment, "PIP_NO_INDEX": "" if "--index-url" in line else "1"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{line}\n{run.stdout}{run.stderr}"
        self.printed = run.stdout
        if "-m venv" in line:
            self._borrow_packages()

    def with_port(self, text: str) -> str:
        """Take a free port for the page's: other tests may have a sandbox on that one."""
        text = text.replace("8020", str(self.port)).replace("8081", str(self.index_port))
        return text.replace("--sandbox", f"--sandbox --url http://127.0.0.1:{self.port}")

    def write(self, sample: str) -> None:
        """Write a sample to the file that the page says it is."""
        name = next(name for start, name in FILES.items() if sample.startswith(start))
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(self.with_port(sample))

    def sees(self, expected: str) -> None:
        """Look for lines in what was printed last, or wait for them in a terminal."""
        for line in plain(self.with_port(expected)).splitlines():
            until = time.monotonic() + PATIENCE
            while line not in plain(self.printed) and time.monotonic() < until:
                assert self._read(until - time.monotonic()), self.printed
            assert line in plain(self.printed), f"{line}\nnot in\n{self.printed}"

    def waits_for(self, text: str) -> None:
        """Wait for a text in the terminal used last."""
        self.sees(text)

    def stop(self) -> list[int]:
        """Press Ctrl-C in every terminal; the exit codes."""
        codes = []
        for process, terminal in reversed(self._running):
            process.send_signal(signal.SIGINT)
            codes.append(process.wait(PATIENCE))
            os.close(terminal)
        self._running.clear()
        return codes

    def _command(self, line: str) -> list[str]:
        activate = ". venv/bin/activate; " if (self.folder / "venv").exists() else ""
        return ["sh", "-euc", f"{activate}exec {line}" if line[0] != "." else line]

    def _leave_running(self, line: str) -> None:
        mine, theirs = pty.openpty()
        process = subprocess.Popen(
            self._command(line),
            cwd=self.folder,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._running.append((process, mine))
        self.printed = ""

    def _read(self, patience: float) -> bool:
        """Read what the terminals used have printed; False if nothing came."""
        terminals = [terminal for _, terminal in self._running]
        ready, _, _ = select.select(terminals, [], [], max(patience, 0))
        try:
            for terminal in ready:
                self.printed += os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:  # what ran in it has ended
            return False
        return bool(ready)

    def _borrow_packages(self) -> None:
        """Let the new environment see what these tests run with, pip too: nothing is downloaded."""
        (packages,) = self.folder.glob("venv/lib/python*/site-packages")
        own = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "borrowed.pth").write_text("\n".join(own))
        pip = self.folder / "venv" / "bin" / "pip"
        pip.write_text('#!/bin/sh\nexec "$VIRTUAL_ENV/bin/python" -m pip "$@"\n')
        pip.chmod(0o755)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in a folder of their own."""
    somebody = Reader(tmp_path)
    yield somebody
    somebody.stop()


def test_tutorial_works_word_for_word(reader: Reader) -> None:
    """In a fresh environment, every command works and prints what the page says, to the end."""
    shown = blocks(PAGE)
    for block in shown:
        if block.language == "sh":
            for line in block.text.splitlines():
                reader.type(line)
                if line.startswith("sgevents sandbox"):
                    reader.waits_for("The sandbox listens on")
                elif line.startswith("sgevents run"):
                    reader.waits_for("with 1 plugin")
                elif line.startswith("pypi-server run"):
                    reader.waits_for("Listening on")
        elif block.language == "text":
            reader.sees(block.text)
        elif block.text.startswith("[plugins.hello]"):
            enable(reader.folder / "sgevents.toml", block.text)
        else:
            reader.write(block.text)
    assert len(shown) == 20
    assert reader.stop()[1:] == [0, 0]


def enable(config: Path, table: str) -> None:
    """Add what the page says at the end of the configuration."""
    with config.open("a") as file:
        file.write(table)
