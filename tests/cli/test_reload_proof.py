"""`sgevents reload` sends a signal only to what is proved to be the daemon."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from sgevents_core.cli.reload import _request_reload
from sgevents_core.errors import DaemonElsewhereError
from sgevents_core.state.lock import LOCK_FILE, StateLock
from sgevents_core.state.running import Running, write_running_daemon


def test_process_that_only_a_file_names_is_sent_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the folder could have any process of the operator's ended."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *told: sent.append(told))
    victim = os.getppid()
    with closing(StateLock(tmp_path)):
        os.close(write_running_daemon(tmp_path, Running(victim, "run", "1", {}, reloads=True)))
        named = {"pid": victim, "host": socket.gethostname()}
        (tmp_path / LOCK_FILE).write_bytes(msgspec.json.encode(named))
        with pytest.raises(DaemonElsewhereError, match="cannot be proved"):
            _request_reload(tmp_path)
        assert sent == []
        named["pid"] = os.getpid()
        (tmp_path / LOCK_FILE).write_bytes(msgspec.json.encode(named))
        os.close(write_running_daemon(tmp_path, Running(os.getpid(), "run", "1", {}, reloads=True)))
        assert _request_reload(tmp_path).pid == os.getpid()
        assert sent == [(os.getpid(), signal.SIGHUP)]
