"""Trying plugins in a process of their own: what they do there ends nothing but that process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.launching import Launcher
from sgevents_core.children.messages import Prepare, Prepared
from sgevents_core.children.process import Child
from sgevents_core.children.worker import Worker
from sgevents_core.errors import StateError
from sgevents_core.plugins.load_watching import KnownBroken
from sgevents_core.settings import Settings

_TRIAL_LANE: Final = "trial of files"
_ADVICE: Final = "The log says more."


class Trial:
    """A process that loads plugins, and ends.

    Plugins are given their settings and keys, as in a lane's worker process. What they print and
    log is dropped, since they print and log it again when they are loaded for their calls.

    Args:
        settings: The configuration.
        plugin_names: The plugins to load.
        memory_limit: The most memory that the process may use, in bytes; None for any.
    """

    def __init__(
        self, settings: Settings, plugin_names: Sequence[str], memory_limit: int | None = None
    ) -> None:
        self.plugin_names: Final = tuple(plugin_names)
        self._settings = settings
        self._memory_limit = memory_limit
        self._stop_event = threading.Event()
        self._launcher = Launcher(drops_output=True)
        self._workers: list[Worker] = []
        self._failures: dict[str, KnownBroken] | None = None
        self._deadly_plugins: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="trial of files", daemon=True)

    def start(self) -> None:
        """Load the plugins in a new process, which then ends; return at once."""
        self._thread.start()

    def failures(self) -> dict[str, KnownBroken] | None:
        """Return the plugins that failed, and why; None while the trial is running."""
        return self._failures

    def deadly_failures(self) -> dict[str, KnownBroken]:
        """Return the plugins that ended the process or did not return; once the trial is over."""
        failures = self._failures or {}
        return {name: failures[name] for name in failures if name in self._deadly_plugins}

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the trial is over, at most so long; return whether it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the process, whatever it is doing; may be called from any thread."""
        self._stop_event.set()
        for worker in self._workers:
            worker.say_stopping()

    def _run(self) -> None:
        failures = _all_failed(self.plugin_names, "its trial has not ended")
        try:
            failures = self._load_plugins(self.plugin_names)
        finally:
            self._failures = failures  # nobody has to wait for the end of the processes
            for worker in self._workers:
                worker.begin_end(shuts_down=False)
                worker.close()
            self._launcher.close()

    def _load_plugins(self, plugin_names: Sequence[str]) -> dict[str, KnownBroken]:
        """Load plugins in a new process; if it ends and nothing shows why, load them in two."""
        lane_children = self._children_for(plugin_names)
        worker = Worker(lane_children)
        self._workers.append(worker)
        try:
            reply = worker.start()
        except StateError as error:
            return _all_failed(plugin_names, str(error))
        self._deadly_plugins |= lane_children.known_broken.keys()
        if isinstance(reply, Prepared):
            return {
                status.name: KnownBroken(status.reason, status.fix, status.traceback)
                for status in reply.statuses
                if status.name in plugin_names and status.status != "enabled"
            }
        if len(plugin_names) == 1 or self._stop_event.is_set():
            self._deadly_plugins |= set(plugin_names)
            return _all_failed(plugin_names, reply.line)
        middle = len(plugin_names) // 2
        first_failures = self._load_plugins(plugin_names[:middle])
        return first_failures | self._load_plugins(plugin_names[middle:])

    def _children_for(self, plugin_names: Sequence[str]) -> _TrialChildren:
        lane_children = _TrialChildren(
            _TRIAL_LANE,
            self._settings,
            plugin_names,
            launcher=self._launcher,
            site_key="",
            stopping=self._stop_event,
        )
        lane_children.memory_limit = self._memory_limit
        return lane_children


def _all_failed(plugin_names: Sequence[str], reason: str) -> dict[str, KnownBroken]:
    return dict.fromkeys(plugin_names, KnownBroken(reason, _ADVICE))


class _TrialChildren(LaneChildren):
    """The data of a process in which plugins are tried; nobody waits for it, and it is silent."""

    memory_limit: int | None = None

    def launch(self) -> Child:
        """Start a child whose records are dropped."""
        child = super().launch()
        child.drops_records = True
        return child

    def preparation(self) -> Prepare:
        """Return the message with which a child begins."""
        return replace(super().preparation(), memory_limit=self.memory_limit or 0)

    def _report_left_out(self, plugin_name: str) -> None:
        """Report nothing: the failure is the result of the trial."""
