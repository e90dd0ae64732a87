"""The daemon under systemd: it says when it is ready, feeds the watchdog, says that it stops."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from running_daemon import RunningDaemon

from sgevents_core.sandbox import Sandbox


def test_systemd_hears_of_start_work_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY=1 after the start, WATCHDOG=1 again and again while loops get on, then STOPPING=1."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = tmp_path / "notify"
    manager.bind(str(address))
    manager.settimeout(30)
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with manager, Sandbox(project=False) as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.install_writer("writer")
        with daemon.running() as process:
            heard: list[str] = []
            while heard.count("WATCHDOG=1") < 3:
                heard += manager.recv(4096).decode().splitlines()
            assert "READY=1" in heard
            assert "STOPPING=1" not in heard
            assert daemon.stop(process) == 0
            while "STOPPING=1" not in heard:
                heard += manager.recv(4096).decode().splitlines()
