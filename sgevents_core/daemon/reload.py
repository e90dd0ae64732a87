"""Reloading: the new configuration and packages are tried in a separate process first.

Only if they load does the daemon stop between two callbacks and execute itself again. Packages are
never reloaded in place: imported code stays as it is until the process is replaced.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from msgspec.structs import replace

from sgevents_core import __version__
from sgevents_core.daemon.restarting import CommandLine, restart_obstacle
from sgevents_core.errors import StateError
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Settings
from sgevents_core.state.running import Refusal, Running, note

logger = logging.getLogger("sgevents.daemon")

REHEARSE: Final = "--rehearse"
"""The option with which `sgevents run` only prints, as JSON, what it would run."""
LONGEST: Final = 60.0
"""Seconds the rehearsal may take."""
USABLE: Final = ("enabled", "disabled")
AGAIN_AFTER: Final = 60.0
"""Seconds after which a daemon whose threads hang tries to restart again."""
_LAST_WORDS: Final = 2000


class Reloader:
    """The part that handles requests to reload, up to the point where the daemon has to stop.

    Args:
        settings: The running configuration.
        loaded: The running plugins.
        started: How the process was started; None if it cannot be started again.
        refused: Why the last attempt to restart failed; empty if it did not fail.

    `can_restart` says whether the process can be restarted.
    """

    def __init__(
        self, settings: Settings, loaded: Loaded, started: CommandLine | None, refused: str = ""
    ) -> None:
        self._folder = settings.state.path
        self._log = settings.log
        self._longest = LONGEST + sum(
            table.load_timeout for table in settings.plugins.values() if table.enabled
        )
        self._not_before = 0.0
        self._noted: int | None = None
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
        if refused:
            self._refuse(refused)
        else:
            self._note()

    def ask(self) -> None:
        """Accept a request to reload; a trial that is running is repeated with the newest state."""
        if self._started is not None:
            extra = {"action": "daemon.reload_asked"}
            logger.info("Asked to reload: the new state is tried first", extra=extra)
            self._asked = True

    def poll(self) -> bool:
        """Continue with a request; return True once the new state is known to load."""
        if self._child is not None:
            if not self._child.is_over():
                return False
            child, self._child = self._child, None
            reason = self._redact(child.objection(self._folder, self._unusable))
            if not self._asked:
                return self._decided(reason)
        if self._asked and self._started is not None:
            self._asked = False
            return self._try(self._started)
        return False

    def leave_hung(self, now: float) -> None:
        """Request a restart because threads of the daemon hang; after a refusal, wait a while.

        Args:
            now: The current monotonic time, in seconds.
        """
        if self._child is None and not self._asked and now >= self._not_before:
            self._asked, self._not_before = True, now + AGAIN_AFTER

    def close(self) -> None:
        """End a running trial."""
        if self._child is not None:
            self._child.end()
        if self._noted is not None:
            os.close(self._noted)
            self._noted = None

    def _try(self, started: CommandLine) -> bool:
        """Try the new state in a separate process, if one can be started at all."""
        try:
            self._child = _Rehearsal(started, self._longest)
        except OSError as error:
            return self._decided(f"a process to try it in cannot be started: {error}")
        return False

    def _decided(self, reason: str) -> bool:
        if not reason and self._started is not None:
            reason = restart_obstacle(self._started, self._folder, self._log)
        if not reason:
            extra = {"action": "daemon.reloading"}
            logger.info("The new state loads: stopping to start with it", extra=extra)
            return True
        self._refuse(reason)
        return False

    def _refuse(self, reason: str) -> None:
        logger.error(
            "Not reloaded, all goes on as it was: %s",
            reason,
            extra={"action": "daemon.not_reloaded"},
        )
        before = self._running.refusal
        refusal = Refusal(1 if before is None else before.number + 1, reason)
        self._running = replace(self._running, refusal=refusal)
        self._note()

    def _note(self) -> None:
        try:
            self._noted = note(self._folder, self._running, self._noted)
        except StateError as error:  # a full disk: only `plugins list` and `reload` show less
            logger.warning("%s", error, extra={"action": "daemon.not_noted"})


class _Rehearsal:
    """A process that loads the new state and reports the result."""

    def __init__(self, started: CommandLine, longest: float) -> None:
        self._longest = longest
        self._until = time.monotonic() + longest
        self._late = False
        with ExitStack() as opened:  # in memory: there may be no folder to write to
            self._out = opened.enter_context(_memory())
            self._errors = opened.enter_context(_memory())
            self._process = subprocess.Popen(
                [*started.words, REHEARSE],
                cwd=started.folder(),
                env=started.variables,
                stdin=subprocess.DEVNULL,
                stdout=self._out,
                stderr=self._errors,
            )
            opened.pop_all()

    def is_over(self) -> bool:
        """Return whether it has ended; end it if it takes too long."""
        if self._process.poll() is None and time.monotonic() > self._until:
            self._late = True
            self._process.kill()
            self._process.wait()
        return self._process.poll() is not None

    def end(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._close()

    def objection(self, folder: Path, unusable: set[tuple[str, str]]) -> str:
        """Return why the new state is refused; empty if it is accepted.

        Args:
            folder: The folder of the state in use.
            unusable: Name and status of the plugins that cannot be used even now.
        """
        out, errors = _text(self._out), _text(self._errors)
        code = self._process.returncode
        self._close()
        if self._late:
            return f"loading it took more than {self._longest:.0f} s"
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
    """Return what `Reloader` needs to know about a loaded state, as one line of JSON."""
    unusable = [one for one in loaded.statuses if one.status not in USABLE]
    told = {
        "state": str(settings.state.path),
        "unusable": [[one.name, one.status, one.summary()] for one in unusable],
    }
    return json.dumps(told)


def _objection(told: dict[str, Any], folder: Path, unusable: set[tuple[str, str]]) -> str:
    if told["state"] != str(folder):
        return f"[state] path is now {told['state']}; for another state, stop and start the daemon"
    worse = [one for one in told["unusable"] if (one[0], one[1]) not in unusable]
    return " ".join(f"Plugin {text}" for _, _, text in worse)


def _memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("sgevents-rehearsal", os.MFD_CLOEXEC), "w+b", buffering=0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()[-_LAST_WORDS:]
