"""The daemon as systemd runs it: says when it is ready, feeds the watchdog, says that it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed_packages import Packages
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox

CONFIG = """
[site]
url = "{url}"
script_name = "sgevents"
api_key = "demo-key"

[feed]
poll_interval = "50ms"

[plugins.slow]
enabled = true
"""
SLOW = """
import time
from pathlib import Path

from sgevents_core import hookimpl


@hookimpl
def on_event(event):
    Path(__file__).with_name("called").touch()
    while not Path(__file__).with_name("go-on").exists():
        time.sleep(0.01)
"""
WATCHDOG_USEC = 400_000


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Stands where systemd does: the socket that the daemon speaks to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20)
        yield listening


def heard(manager: socket.socket, expected_message: str) -> list[str]:
    """Listen until something is said; what was said until then."""
    received_messages: list[str] = []
    while expected_message not in received_messages:
        received_messages.append(manager.recv(4096).decode())
    return received_messages


def test_service_is_ready_watched_and_stops_in_order(
    tmp_path: Path, manager: socket.socket
) -> None:
    """Also while a callback takes its time: the watchdog is fed all the while."""
    Packages(tmp_path / "packages").install_module("slow", SLOW)
    config = tmp_path / "sgevents.toml"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "packages"), *sys.path]),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": str(WATCHDOG_USEC),
    }
    environment.pop("WATCHDOG_PID", None)
    command = [sys.executable, "-m", "sgevents_core", "run", "--config", str(config)]
    with Sandbox() as site:
        config.write_text(CONFIG.format(url=site.url))
        config.chmod(0o600)
        with subprocess.Popen(command, cwd=tmp_path, env=environment) as daemon:
            heard(manager, "READY=1")
            heard(manager, "WATCHDOG=1")
            while not (tmp_path / "packages" / "called").exists():
                site.create("Shot", {"code": "sh010"})
                heard(manager, "WATCHDOG=1")
            for _ in range(5):
                assert heard(manager, "WATCHDOG=1") == ["WATCHDOG=1"]
            (tmp_path / "packages" / "go-on").touch()
            daemon.send_signal(signal.SIGTERM)
            heard(manager, "STOPPING=1")
            assert daemon.wait(PATIENCE) == 0
