"""Commands as a person types them, for the configuration of a daemon, running or not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from running_daemon import RunningDaemon

from sgevents_core.cli.root import sgevents


class Said(NamedTuple):
    """The outcome of a command: its exit code, all that it printed, and the part sent to stderr."""

    code: int
    text: str
    stderr: str
    stdout: str = ""

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.stdout)


@contextmanager
def installed_here(daemon: RunningDaemon) -> Iterator[Commands]:
    """Let commands run in this process find the daemon's plugins, forgotten afterwards."""
    folder = str(daemon.packages.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        try:
            yield Commands(daemon)
        finally:
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(folder):
                    del sys.modules[name]


class Commands:
    """Runs commands in this process, which is faster than a new one for each.

    Args:
        daemon: Whose configuration it is.
        secrets: Whether the key of the site is in the environment.
    """

    def __init__(self, daemon: RunningDaemon, *, secrets: bool = True) -> None:
        self._daemon = daemon
        self._secrets = secrets

    def __call__(self, *words: object) -> Said:
        """Run one command and return its outcome."""
        line = [*map(str, words), "--config", str(self._daemon.config)]
        environment = {"SGEVENTS_TEST_KEY": self._daemon.site.api_key if self._secrets else None}
        result = CliRunner().invoke(sgevents, line, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.output, result.stderr, result.stdout)
