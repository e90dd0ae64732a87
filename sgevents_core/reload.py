"""Reloading: the new configuration and packages are tried in a process of their own, and only if
they load does the daemon stop between two callbacks and execute itself anew.

Packages are never reloaded in place: what is imported stays as it is until the process is another.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, NoReturn

from msgspec.structs import replace

from sgevents_core import __version__
from sgevents_core.errors import StateError
from sgevents_core.journal.running import Refusal, Running, note
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Settings

logger = logging.getLogger("sgevents.daemon")

REHEARSE: Final = "--rehearse"
"""The option with which `sgevents run` only tells, as JSON, what it would run."""
LONGEST: Final = 60.0
"""Seconds the rehearsal may take."""
USABLE: Final = ("enabled", "disabled")
_LAST_WORDS: Final = 2000


class CommandLine(NamedTuple):
    """How this process was started, and can be started again.

    Args:
        words: The program and its arguments.
        home: The folder it was started in; None if that is not there.
        variables: The environment it was started in, whatever plugins have made of it since.
    """

    words: tuple[str, ...]
    home: Path | None
    variables: Mapping[str, str]


class Reloader:
    """Carries out requests to reload, up to the point where the daemon has to stop.

    Args:
        settings: The configuration that runs.
        loaded: The plugins that run.
        started: How the process was started; None where it cannot be started again.

    `can_restart` tells whether it can.
    """

    def __init__(self, settings: Settings, loaded: Loaded, started: CommandLine | None) -> None:
        self._folder = settings.state.path
        self._unusable: set[tuple[str, str]] = {
            (one.name, one.status) for one in loaded.statuses if one.status not in USABLE
        }
        self._started = started
        self.can_restart = started is not None
        self._redact = Redactor.of(settings)
        self._asked = False
        self._child: _Rehearsal | None = None
        self._running = Running(
            pid=os.getpid(),
            run=f"{os.getpid()}-{time.time_ns()}",
            version=__version__,
            plugins={plugin.name: plugin.version for plugin in loaded.plugins},
            reloads=started is not None,
        )
        self._note()

    def ask(self) -> None:
        """Take a request to reload; whatever is being tried is tried again with what is new."""
        if self._started is not None:
            extra = {"action": "daemon.reload_asked"}
            logger.info("Asked to reload: the new state is tried first", extra=extra)
            self._asked = True

    def poll(self) -> bool:
        """Go on with a request; True once the new state has been shown to load."""
        if self._child is not None:
            if not self._child.is_over():
                return False
            child, self._child = self._child, None
            reason = self._redact(child.objection(self._folder, self._unusable))
            if not self._asked:
                return self._decided(reason)
        if self._asked and self._started is not None:
            self._asked = False
            self._child = _Rehearsal(self._started)
        return False

    def close(self) -> None:
        """End what is being tried."""
        if self._child is not None:
            self._child.end()

    def _decided(self, reason: str) -> bool:
        if not reason:
            extra = {"action": "daemon.reloading"}
            logger.info("The new state loads: stopping to start with it", extra=extra)
            return True
        logger.error(
            "Not reloaded, all goes on as it was: %s",
            reason,
            extra={"action": "daemon.not_reloaded"},
        )
        before = self._running.refusal
        refusal = Refusal(1 if before is None else before.number + 1, reason)
        self._running = replace(self._running, refusal=refusal)
        self._note()
        return False

    def _note(self) -> None:
        try:
            note(self._folder, self._running)
        except StateError as error:  # a full disk: only `plugins list` and `reload` know less
            logger.warning("%s", error, extra={"action": "daemon.not_noted"})


class _Rehearsal:
    """A process that loads what would run, and tells what came of it."""

    def __init__(self, started: CommandLine) -> None:
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - `_close` closes both
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._until = time.monotonic() + LONGEST
        self._late = False
        self._process = subprocess.Popen(
            [*started.words, REHEARSE],
            cwd=started.home,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._errors,
        )

    def is_over(self) -> bool:
        """Whether it has ended; one that takes too long is ended."""
        if self._process.poll() is None and time.monotonic() > self._until:
            self._late = True
            self._process.kill()
            self._process.wait()
        return self._process.poll() is not None

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._close()

    def objection(self, folder: Path, unusable: set[tuple[str, str]]) -> str:
        """Return why the new state is not taken; empty if it is.

        Args:
            folder: The state's folder that is in use.
            unusable: Name and status of plugins that cannot be used as it is.
        """
        out, errors = _text(self._out), _text(self._errors)
        code = self._process.returncode
        self._close()
        if self._late:
            return f"loading it took more than {LONGEST:.0f} s; a plugin hangs while it is imported"
        if code:
            return errors.removeprefix("sgevents: ") or f"loading it ended with exit code {code}"
        try:
            told = json.loads(out.splitlines()[-1])
        except (ValueError, IndexError):
            return f"loading it ended the process before it could tell more. {errors}".strip()
        return _objection(told, folder, unusable)

    def _close(self) -> None:
        self._out.close()
        self._errors.close()


def rehearsed(settings: Settings, loaded: Loaded) -> str:
    """Return what `Reloader` wants to know of a state that was loaded, as one line of JSON."""
    unusable = [one for one in loaded.statuses if one.status not in USABLE]
    told = {
        "state": str(settings.state.path),
        "unusable": [[one.name, one.status, one.told()] for one in unusable],
    }
    return json.dumps(told)


def command_line() -> CommandLine:
    """Return how this process was started; to be asked before a plugin can change the folder."""
    home: Path | None = None
    with suppress(OSError):  # it is gone
        home = Path.cwd()
    return CommandLine((sys.executable, *sys.orig_argv[1:]), home, dict(os.environ))


def execute_anew(started: CommandLine) -> NoReturn:
    """Replace this process by a new one that is started as this one was."""
    sys.stdout.flush()
    sys.stderr.flush()
    if started.home is not None:
        with suppress(OSError):  # gone by now; most likely nothing is relative to it
            os.chdir(started.home)
    variables = dict(started.variables)
    os.execve(started.words[0], started.words, variables)  # noqa: S606 - the same again


def end_at_once() -> NoReturn:
    """End this process well, and wait for no thread: not for one that hangs, nor for its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _objection(told: dict[str, Any], folder: Path, unusable: set[tuple[str, str]]) -> str:
    if told["state"] != str(folder):
        return f"[state] path is now {told['state']}; for another state, stop and start the daemon"
    worse = [one for one in told["unusable"] if (one[0], one[1]) not in unusable]
    return " ".join(f"Plugin {text}" for _, _, text in worse)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()[-_LAST_WORDS:]
