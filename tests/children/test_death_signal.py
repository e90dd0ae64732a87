"""A worker process ends with its daemon from the first moment on."""

from __future__ import annotations

import subprocess

from sgevents_core.children import launching

NO_DAEMON = "1"


def test_process_without_its_daemon_ends_before_it_imports_anything_slow() -> None:
    """One whose daemon was killed meanwhile is gone before a new daemon looks for it."""
    interpreter, *arguments = launching.child_command("child_main", "worker", 0, 0, 0, 0)
    command = [interpreter, "-X", "importtime", *arguments[:-1], NO_DAEMON]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "sgevents_core.children.death_signal" in ended.stderr
    assert "sgevents_core.children.child_main" not in ended.stderr
    assert "msgspec" not in ended.stderr
