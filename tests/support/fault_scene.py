"""A site, a daemon and plugins on which a fault is tried, and the outcome of the fault."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from forked_runs import Launcher, Run
from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.state.letters import Letter
from sgevents_core.state.opening import open_state

NOTING = """
    import os
    import time
    from sgevents_core import hookimpl

    _file = os.open({calls!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event, ctx, callback="every"):
        line = f"{{event.id}} {{ctx.plugin}} {{callback}} {{ctx.attempt}}"
        os.write(_file, line.encode().ljust(63) + b"\\n")
"""
"""The beginning of a plugin that records what it gets."""
ACTING = """
    @hookimpl
    def on_event(event, ctx):
        note(event, ctx)
        {deed}
"""
QUICK = """
from sgevents_core.calling import policy
from sgevents_core.site import backlog, feed, follower as gaps, trouble

trouble.FIRST_WAIT, trouble.LONGEST_WAIT = 0.01, 0.05
backlog.FIRST_LOOK = gaps.FIRST_LOOK = 0.05
feed.BETWEEN_REFUSALS = 0.01
gaps.LONGEST_PUT_OFF = 0.05
policy.FIRST_WAIT = 0.02
"""
"""Shortens the waits before something is tried again, so that a scenario takes a second."""
WRITERS = ("alpha", "zulu")
"""Two plugins that record each event and never fail: one is called first, one last."""


class Measured(NamedTuple):
    """The outcome of a fault: due calls that were never made, and calls made too often."""

    lost: int
    repeated: int


class Scene:
    """A site, and a daemon with two plugins that record what they get.

    Args:
        folder: Where everything of the daemon lives.
        site: The site.
        launcher: What starts the daemon.
    """

    def __init__(self, folder: Path, site: Sandbox, launcher: Launcher) -> None:
        self.site = site
        self.daemon = RunningDaemon(folder, site)
        self.runs: list[Run] = []
        self._launcher = launcher
        for name in WRITERS:
            self.install(name, "pass")

    def install(self, name: str, deed: str, keys: str = "") -> None:
        """Install a plugin that records each event, and then does something."""
        text = NOTING.format(calls=str(self.daemon.calls)) + ACTING.format(deed=deed)
        self.daemon.install(name, text, keys=keys)

    def start(self, *options: str, before: str = "", **environment: str) -> Run:
        """Start the daemon."""
        run = self._launcher.start(self.daemon, *options, before=QUICK + before, **environment)
        self.runs.append(run)
        return run

    def drain(self, before: str = "", **environment: str) -> int:
        """Run until everything is handled; return the exit code."""
        return self.start("--drain", before=before, **environment).wait()

    def close(self) -> None:
        """End every daemon that still runs."""
        for run in self.runs:
            run.kill()

    def events(self, number: int) -> list[int]:
        """Write a number of events to the log, and return their ids."""
        return [self.site.event("Shotgun_Task_Change") for _ in range(number)]

    def wait_for(self, ids: Iterable[int], plugin: str = WRITERS[-1]) -> None:
        """Wait until a plugin got all these events."""
        wanted = list(ids)
        self.until(lambda: self._lines(plugin) >= len(wanted), f"{plugin} has as many")
        self.daemon.wait_for(wanted, plugin)

    def _lines(self, plugin: str) -> int:
        """How many calls a plugin recorded; reading the calls themselves takes longer."""
        calls = self.daemon.calls
        return calls.read_bytes().count(f" {plugin} every ".encode()) if calls.exists() else 0

    def wait_told(self, action: str, times: int = 1) -> None:
        """Wait until the log has a number of records with an action."""
        self.until(lambda: self.times_told(action) >= times, f"{action} is logged {times} times")

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something holds."""
        wait_until(condition, what=what)

    def times_told(self, action: str) -> int:
        """How many records of the log have an action."""
        if not self.daemon.output.exists():
            return 0
        return sum(record["action"] == action for record in self.daemon.told())

    def letters(self, plugin: str | None = None) -> list[Letter]:
        """The dead letters there are."""
        with closing(open_state(self.daemon.folder / "state").letters()) as found:
            return found.find(plugin)

    def keep_state(self) -> Path:
        """Copy the state as it is now, and return the copy."""
        copy = self.daemon.folder / "copy"
        shutil.copytree(self.daemon.folder / "state", copy)
        return copy

    def finish(self, run: Run, owed: Iterable[int]) -> Measured:
        """Wait until all is handled, stop in order, start once more, and measure.

        Args:
            run: The daemon that runs.
            owed: The events that each plugin has to get, with repetitions where ids came again.
        """
        events = list(owed)
        self.wait_for(events)
        assert run.stop() == 0
        return self.finished(events)

    def finished(self, owed: Iterable[int]) -> Measured:
        """Start once more, to reveal anything that would be handled again, and measure."""
        assert self.drain() == 0
        return self.measured(owed)

    def measured(self, owed: Iterable[int], plugins: Iterable[str] = WRITERS) -> Measured:
        """Compare what plugins recorded with what they should get; anything more fails."""
        wanted = Counter(owed)
        lost = repeated = 0
        for plugin in plugins:
            got = Counter(self.daemon.events_of(plugin))
            assert set(got) <= set(wanted), sorted(set(got) - set(wanted))[:10]
            lost += (wanted - got).total()
            repeated += (got - wanted).total()
        return Measured(lost, repeated)
