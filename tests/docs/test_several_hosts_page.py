"""The page on several hosts, followed on one machine: its files written, its commands typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from doc_pages import DOCS, Block, blocks
from nats_server import server_program
from waiting import wait_until

from sgevents_core.sandbox import Sandbox

PAGE = DOCS / "how-to" / "run-several-hosts.md"
HOSTS = ("alpha", "beta", "gamma")
LASTING = ("nats-server", "sgevents sandbox", "sgevents run")
"""How commands begin that have a terminal of their own."""


class Reader:
    """Somebody who follows the page in a folder.

    Args:
        folder: The folder.
        site_url: The stand-in for a site, which is there already.
    """

    def __init__(self, folder: Path, site_url: str) -> None:
        self.folder = folder
        self._site_url = site_url
        self._nats_port = 0
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        programs = [str(Path(sys.executable).parent), str(Path(server_program()).parent)]
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
        }

    def write(self, block: Block, path: str) -> None:
        """Write a file as the page has it, but for the ports."""
        (self.folder / path).parent.mkdir(exist_ok=True)
        text = block.text.replace("http://127.0.0.1:8020", self._site_url)
        if path == "nats.conf":
            text = text.replace(":4222", ":-1") + 'ports_file_dir: "."\n'
        (self.folder / path).write_text(text.replace(":4222", f":{self._nats_port}"))

    def type(self, command: str) -> str:
        """Type a command; return what it says, once it has ended if it does by itself."""
        if command.startswith(LASTING):
            self._start(command)
            return ""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def hosts(self) -> dict[str, str]:
        """Return what `status` says of each host."""
        said = self.type("sgevents status -c gamma/sgevents.toml")
        lines = [line for line in said.splitlines() if line.startswith("host ")]
        return {line.split()[1].rstrip(","): line for line in lines}

    def kill(self, host: str) -> None:
        """Kill a host's daemon."""
        process = self._processes.pop(f"sgevents run -c {host}/sgevents.toml")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End what goes on running."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, command: str) -> None:
        if command.startswith("sgevents sandbox"):
            return  # the test has one, on a port of its own
        with (self.folder / f"output{len(self._processes)}").open("wb") as output:
            self._processes[command] = subprocess.Popen(
                command.split(),
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        if command.startswith("nats-server"):
            wait_until(self._has_ports, what="the server's ports file")

    def _has_ports(self) -> bool:
        for path in self.folder.glob("*.ports"):
            _, _, after = path.read_text().partition('"nats://127.0.0.1:')
            self._nats_port = int(after.partition('"')[0] or 0)
        return self._nats_port != 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader with a site where events happen."""
    with ExitStack() as opened:
        site = opened.enter_context(Sandbox())
        made = Reader(tmp_path, site.url)
        opened.callback(made.close)
        yield made


def test_three_hosts_share_the_work_as_the_page_says(reader: Reader) -> None:
    """Work is spread, a killed host's goes to the others, and commands work from any host."""
    server_config = next(block for block in blocks(PAGE) if block.language == "text")
    host_config = next(block for block in blocks(PAGE) if block.language == "toml")
    commands = [
        line.removeprefix("$ ")
        for block in blocks(PAGE)
        if block.language == "console"
        for line in block.text.splitlines()
        if line.startswith("$ ")
    ]
    reader.write(server_config, "nats.conf")
    for command in commands:
        if command.startswith("pip"):
            continue
        if command.startswith("mkdir"):
            reader.write(host_config, "alpha/sgevents.toml")
        if command.startswith("sgevents status -c gamma"):
            wait_until(lambda: _is_spread(reader.hosts(), HOSTS), what="the work is spread")
            reader.kill("alpha")
            wait_until(lambda: _is_spread(reader.hosts(), HOSTS[1:]), what="others have its work")
        said = reader.type(command)
        if command.startswith("sgevents status -c beta"):
            assert "paused" in said


def _is_spread(hosts: dict[str, str], names: tuple[str, ...]) -> bool:
    """Return whether exactly these hosts have the feed and the two lanes, each something."""
    works = [line.partition(": ")[2] for line in hosts.values()]
    everything = ["lane default", "lane watching", "the feed"]
    return (
        tuple(hosts) == names
        and all(works)
        and all(sum(one in work for work in works) == 1 for one in everything)
    )
