"""Signals that wake a daemon: none is the truth, and none does harm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sgevents_core.state.wake_signal import WAKE_FILE, WakeReceiver, send_wake_signal


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WakeReceiver]:
    """The end of a daemon that runs."""
    with closing(WakeReceiver(tmp_path)) as running:
        yield running


def test_a_signal_arrives(receiver: WakeReceiver, tmp_path: Path) -> None:
    """Once, although several were sent meanwhile."""
    assert not receiver.wait(0.0)
    assert [send_wake_signal(tmp_path) for _ in range(3)] == [True, True, True]
    assert receiver.wait(60.0)
    assert not receiver.wait(0.0)


def test_many_signals_hold_up_nobody(receiver: WakeReceiver, tmp_path: Path) -> None:
    """A daemon that takes none for a while is still woken, and they take no room."""
    assert all(send_wake_signal(tmp_path) for _ in range(20_000))
    assert (tmp_path / WAKE_FILE).stat().st_size == 1
    while receiver.wait(0.0):
        pass
    assert send_wake_signal(tmp_path)
    assert receiver.wait(60.0)


def test_without_a_daemon_nothing_happens(tmp_path: Path) -> None:
    """Neither where none has run, nor where one has ended, however it ended."""
    assert not send_wake_signal(tmp_path / "nothing")
    assert not send_wake_signal(tmp_path)
    assert not (tmp_path / WAKE_FILE).exists()
    WakeReceiver(tmp_path).close()
    assert not send_wake_signal(tmp_path)
    (tmp_path / WAKE_FILE).write_text("of a daemon that was killed")
    with closing(WakeReceiver(tmp_path)) as next_daemon:
        assert not next_daemon.wait(0.0)
        assert send_wake_signal(tmp_path)
        assert next_daemon.wait(60.0)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_nothing_else_is_written_to(tmp_path: Path, kind: str) -> None:
    """Whoever puts a link or a pipe there does not make others write to it, or wait."""
    precious, path = tmp_path / "precious", tmp_path / WAKE_FILE
    precious.write_text("precious")
    if kind == "link":
        path.symlink_to(precious)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert not send_wake_signal(tmp_path)
    assert precious.read_text() == "precious"
    if kind != "folder":
        WakeReceiver(tmp_path).close()
        assert precious.read_text() == "precious"


def test_only_the_user_may_wake_the_daemon(receiver: WakeReceiver, tmp_path: Path) -> None:
    """The file is private."""
    assert (tmp_path / WAKE_FILE).stat().st_mode & 0o777 == 0o600
