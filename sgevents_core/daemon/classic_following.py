"""Apply changes of classic files while the daemon runs.

Only the lanes of the plugins that have changed end, each between two callbacks, and start anew.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from sgevents_core.classic.finding import has_processes
from sgevents_core.classic.folder_watch import FolderWatch
from sgevents_core.classic.helper_files import report_helper_files
from sgevents_core.classic.loaded_files import LoadedFiles
from sgevents_core.classic.mailing import LoadMailer
from sgevents_core.classic.reloading import Change, ClassicReloading
from sgevents_core.daemon.file_trials import FileTrials
from sgevents_core.daemon.lane_taking import LaneTaking
from sgevents_core.daemon.parts import Parts
from sgevents_core.daemon.running_files import RunningFiles
from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import LogFileError, StateError
from sgevents_core.observe.logs import open_plugin_log
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedElsewhere
from sgevents_core.settings import Settings
from sgevents_core.settings.classic_listing import is_helper

logger = logging.getLogger("sgevents.daemon")

SLICE: Final = 0.5
"""Seconds for which files are loaded before the main thread does its other work."""
STATE_RETRY_SECONDS: Final = 2.0

OpenWatch = Callable[[], AbstractContextManager[PluginWatch]]


class ClassicFollowing:
    """Follows changes in the classic folders; for the main thread.

    Args:
        settings: The configuration; its classic plugins are kept up to date.
        loaded: The plugins that were loaded at the start.
        folders: The watch over the folders.
        lane_taking: Restarts lanes.
        parts: The parts of this run.
        open_watch: Opens the watch for a plugin's code while it is loaded.
        loaded_files: Remembers which versions of the files are loaded.
        running_files: What the process runs, for other hosts.
        mailer: Mails that a file cannot be loaded.
        without: Plugins that are left out of this run.
    """

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        folders: FolderWatch,
        *,
        lane_taking: LaneTaking,
        parts: Parts,
        open_watch: OpenWatch,
        loaded_files: LoadedFiles,
        running_files: RunningFiles,
        mailer: LoadMailer,
        without: Container[str] = (),
    ) -> None:
        self._settings = settings
        self._registry: Final = loaded.registry
        self._folders = folders
        self._lane_taking = lane_taking
        self._parts = parts
        self._open_watch = open_watch
        self._reloading = ClassicReloading(
            settings,
            [plugin.name for plugin in loaded.plugins],
            left_out=without,
            report_again=folders.report_again,
            on_failure=mailer.mail_failure,
        )
        self._statuses = {status.name: status for status in loaded.statuses}
        self._elsewhere: dict[str, LoadedElsewhere] = {}
        self._changes: dict[str, dict[str, Change]] = {}
        """Lane -> its changes since it was asked to end."""
        self._files: deque[tuple[Path, bool]] = deque()
        """Files that have changed and are still to be examined."""
        self._trials = FileTrials(settings)
        self._loaded_files = loaded_files
        self._running_files = running_files
        self._versions: dict[str, str] = {}
        """The versions of the files that were loaded, before they were read."""
        self._untried: set[str] = set()
        """Plugins whose files are still to be tried."""
        self._passed: deque[str] = deque()
        """Plugins whose files load well, and are still to be loaded here."""
        self._waiting_lanes: dict[str, float] = {}
        """Lane that waits for the state -> when to try again, in monotonic seconds."""

    def start(self) -> None:
        """Start to follow; files that are not plugins are reported once."""
        plugin_files = set(self._settings.classic_files.values())
        other_files = [path for path in self._folders.files() if path not in plugin_files]
        helper_files = [path for path in other_files if is_helper(path)]
        report_helper_files(helper_files, self._settings.state.path)
        for path in other_files:
            if path not in helper_files:  # it is new, or could not be read
                self._folders.report_again(path)
        self._folders.start()

    @property
    def is_waiting(self) -> bool:
        """Whether a lane is ending or has ended for a restart."""
        return bool(self._changes)

    def turn(self) -> set[str]:
        """Apply pending changes, for a short time unless a plugin takes long to load.

        Returns:
            The plugins whose lanes have started anew because they changed, came or went.
        """
        taken_up: set[str] = set()
        try:
            self._load_files()
            if not (self._files or self._passed):  # ending a lane twice would take longer
                for lane in list(self._changes):
                    taken_up |= self._continue(lane)
        except LoadingStopped:
            self._changes.clear()
        return taken_up

    def _load_files(self) -> None:
        """Have changed files tried, and load those that pass, for a short time."""
        until = time.monotonic() + SLICE
        self._files.extend(self._folders.take_changes())
        while self._files and time.monotonic() < until:
            path, is_there = self._files.popleft()
            self._note(self._reloading.examine(path, is_there=is_there))
        self._take_trial_results()
        while self._passed and time.monotonic() < until:
            name = self._passed.popleft()
            if name in self._settings.classic_files:
                self._open_log_of(name)
                self._versions |= self._loaded_files.present_versions([name])
                contents = self._running_files.present_contents(name)
                with self._open_watch() as watch:
                    change = self._reloading.load(name, watch)
                if change is not None:
                    self._running_files.note_contents(contents)
                    self._lane_taking.show_files()
                self._note(change)

    def _open_log_of(self, name: str) -> None:
        """Give a plugin that has come its own log file, if each has one."""
        try:
            open_plugin_log(self._settings.log, name)
        except LogFileError as error:
            extra = {"action": "log.not_opened", "plugin": name}
            logger.warning("%s", error, extra=extra)

    def _take_trial_results(self) -> None:
        """Take the results of a trial that is over, and begin the next one."""
        results = self._trials.take_results()
        if results is None:
            return
        for name, failure in results.items():
            self._untried.discard(name)
            if name not in self._settings.classic_files:
                continue
            if failure is None:
                self._passed.append(name)
            else:
                self._note(self._reloading.reject(name, failure))
        self._untried &= self._settings.classic_files.keys()
        if self._untried and not self._files:
            self._trials.begin(sorted(self._untried))

    def close(self) -> None:
        """Stop following."""
        self._folders.close()
        self._trials.close()

    def ends(self, lane: Lane) -> bool:
        """Return whether a lane ended for a restart, and failed only because the disk was full."""
        return lane.name in self._changes and isinstance(lane.error, StateError)

    def _note(self, result: Change | str | None) -> None:
        """Record a change in a lane, and end the lane; or a plugin to try."""
        if isinstance(result, str):
            self._untried.add(result)
        if not isinstance(result, Change):
            return
        self._changes.setdefault(result.lane, {})[result.name] = result
        for lane in self._parts.lanes:
            if lane.name == result.lane:
                lane.stop()

    def _continue(self, name: str) -> set[str]:
        """Restart a lane once it has ended; return its changed plugins, none before that."""
        if time.monotonic() < self._waiting_lanes.get(name, 0.0):
            return set()
        parts = self._parts
        if self._lane_taking.is_shared:
            return self._hand_over(name)
        if name in parts.lane_threads and parts.lane_threads[name].is_alive():
            return set()
        for lane in parts.lanes:
            if self.ends(lane):
                lane.error = None  # its register knows where it stopped
        changes = self._changes[name]
        try:
            with self._open_watch() as watch:
                self._take_statuses(name, changes, watch)
                loaded = self._loaded_in(name, changes)
                threads = self._lane_taking.take_lanes(parts, [name], loaded, changes, watch)
        except StateError as error:
            self._wait_for_state(name, error)
            return set()
        for lane_thread in threads:
            lane_thread.start()
        self._waiting_lanes.pop(name, None)
        return self._finish(name)

    def _hand_over(self, name: str) -> set[str]:
        """Let whoever takes a lane next use its changed plugins; return them, none before that.

        Another host may take it; here it ends first, between two callbacks.
        """
        lane = self._parts.lane_of(name)
        if lane is not None:
            lane.stop()
            return set()
        changes = self._changes[name]
        with self._open_watch() as watch:
            self._take_statuses(name, changes, watch)
        loaded = self._loaded_in(name, changes)
        self._lane_taking.note_loaded(self._parts, name, loaded, changes)
        return self._finish(name)

    def _finish(self, name: str) -> set[str]:
        """Record that a lane has its changed plugins; return them."""
        changes = self._changes.pop(name)
        self._loaded_files.note_loaded(list(changes), self._versions)
        extra: dict[str, object] = {
            "action": "lane.replaced",
            "lane": name,
            "plugins": list(changes),
        }
        logger.info("Lane %s continues with %s", name, ", ".join(changes), extra=extra)
        return set(changes)

    def _wait_for_state(self, lane: str, error: StateError) -> None:
        """Try again in a while to start a lane; report once that it waits."""
        if lane not in self._waiting_lanes:
            extra = {"action": "lane.waits_for_state", "lane": lane}
            logger.warning("Lane %s waits: %s", lane, error, extra=extra)
        self._waiting_lanes[lane] = time.monotonic() + STATE_RETRY_SECONDS

    def _take_statuses(self, lane: str, changes: dict[str, Change], watch: PluginWatch) -> None:
        """Update the statuses of changed plugins, including those in worker processes."""
        for change in changes.values():
            self._statuses.pop(change.name, None)
            if change.loaded is not None:
                self._statuses[change.name] = change.loaded.statuses[0]
        self._elsewhere = {}
        if has_processes(lane, self._settings):
            self._elsewhere = self._lane_taking.load_elsewhere(lane, watch)
            self._statuses |= {name: one.status for name, one in self._elsewhere.items()}
            self._report_broken(changes)

    def _report_broken(self, changes: Container[str]) -> None:
        """Report changed plugins that worker processes could not load."""
        for name, one in self._elsewhere.items():
            if name in changes and one.plugin is None:
                extra = {"action": "classic.not_loaded", "plugin": name}
                logger.error("Plugin %s", one.status.summary(), extra=extra)

    def _loaded_in(self, lane: str, changes: dict[str, Change]) -> Loaded:
        """Return the current plugins of a lane."""
        if has_processes(lane, self._settings):
            plugins = {name: one.plugin for name, one in self._elsewhere.items()}
        else:
            present = self._lane_taking.present_plugins(self._parts)
            plugins = {one.name: one for one in present if one.lane == lane}
            plugins |= {name: change.plugin for name, change in changes.items()}
        there = tuple(plugin for plugin in plugins.values() if plugin is not None)
        statuses = tuple(status for status in self._statuses.values() if status.lane == lane)
        return Loaded(plugins=there, statuses=statuses, registry=self._registry)
