"""Reload classic files that changed while the daemon runs, and report the outcome of each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from sgevents_core.classic.finding import classic_plugins
from sgevents_core.classic.source import compile_file, module_name
from sgevents_core.errors import UnusablePluginError
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedPlugin, group_and_lane, load
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.settings import ClassicFolder, PluginSettings, Settings
from sgevents_core.settings.classic_listing import is_helper, plugin_name, table_of_new_file

logger = logging.getLogger("sgevents.daemon")


def do_nothing(report: object) -> None:
    """Do nothing, for callers that need no report."""


class Change(NamedTuple):
    """The outcome of reloading a plugin whose file has changed.

    Args:
        name: The plugin's name.
        lane: Its lane.
        loaded: The plugin as it is loaded now, with its status; None if its file is gone, or if
            worker processes load it.
    """

    name: str
    lane: str
    loaded: Loaded | None = None

    @property
    def plugin(self) -> LoadedPlugin | None:
        """The plugin; None if it is not loaded here."""
        return self.loaded.plugins[0] if self.loaded and self.loaded.plugins else None


def has_processes(lane: str, settings: Settings) -> bool:
    """Return whether worker processes load the plugins of a lane."""
    table = settings.lanes.get(lane)
    return table is not None and table.executor == "process"


class ClassicReloading:
    """The classic plugins of a running daemon, and the tables that the configuration has for them.

    It keeps `settings.plugins` and `settings.classic_files` as the folders are.

    Args:
        settings: The configuration of the running daemon.
        names: The plugins that are loaded.
        without: Plugins that are left out of this run.
        report_again: Called with a file that exists but cannot be read, to have it reported again.
        on_failure: Called with the status of a plugin whose file cannot be loaded.
    """

    def __init__(
        self,
        settings: Settings,
        names: Sequence[str],
        *,
        without: Container[str] = (),
        report_again: Callable[[Path], None] = do_nothing,
        on_failure: Callable[[PluginStatus], None] = do_nothing,
    ) -> None:
        self._settings = settings
        self._without = without
        self._report_again = report_again
        self._on_failure = on_failure
        self._tables = dict(settings.plugins)
        self._loaded = {name for name in names if name in settings.classic_files}

    def examine(self, path: Path, *, is_there: bool) -> Change | str | None:
        """Return what follows from a change of a file.

        Args:
            path: The file.
            is_there: Whether the file still exists.

        Returns:
            The change for a lane if its plugin is gone, or a file is new and cannot be loaded; the
            name of a plugin to load; None if nothing follows.
        """
        folder = next(one for one in self._settings.classic_folders if one.path == path.parent)
        name = plugin_name(folder, path.name)
        if not is_there:
            return self._drop(name)
        try:
            path.read_bytes()
        except OSError:
            self._report_again(path)
            return None
        if name not in self._loaded and is_helper(path):
            self._report_helper(path)
            return None
        table = self._enter(name, path, folder)
        if not table.enabled or name in self._without:
            return None
        try:
            compile_file(path, self._settings.learned_secrets)
        except UnusablePluginError as error:
            return self.reject(name, KnownBroken(error.reason, error.fix))
        return name

    def load(self, name: str, watch: PluginWatch) -> Change | None:
        """Load a plugin's changed file, unless worker processes do; return the change for its lane.

        A file that cannot be loaded changes nothing for a plugin that is loaded already.

        Args:
            name: The plugin's name.
            watch: Watches the code in the file.
        """
        change = Change(name, self._lane_of(name))
        if has_processes(change.lane, self._settings):
            return self._take(change)
        loaded = load_file(self._settings, name, watch)
        status = loaded.statuses[0]
        if not loaded.plugins:
            return self.reject(name, KnownBroken(status.reason, status.fix, status.traceback))
        return self._take(change._replace(loaded=loaded))

    def reject(self, name: str, problem: KnownBroken) -> Change | None:
        """Report that a file cannot be loaded; return the change for a lane if it is new.

        Args:
            name: The plugin's name.
            problem: Why it cannot be loaded.
        """
        problem = problem._replace(reason=problem.reason.rstrip("."))
        broken = load_file(self._settings, name, PluginWatch({name: problem}))
        status = broken.statuses[0]
        is_loaded = name in self._loaded
        continues = ", and continues as it was" if is_loaded else ""
        extra = {"action": "classic.not_loaded", "plugin": name, "traceback": status.traceback}
        text = "Plugin %s cannot be loaded%s: %s. %s"
        logger.error(text, name, continues, status.reason, status.fix, extra=extra)
        self._on_failure(status)
        return None if is_loaded else Change(name, self._lane_of(name), broken)

    def _lane_of(self, name: str) -> str:
        return group_and_lane(self._settings.plugins[name], self._settings)[1]

    def _enter(self, name: str, path: Path, folder: ClassicFolder) -> PluginSettings:
        table = self._tables.get(name) or table_of_new_file(folder)
        self._settings.plugins[name] = table
        self._settings.classic_files[name] = path
        return table

    def _take(self, change: Change) -> Change:
        name = change.name
        known = name in self._loaded
        self._loaded.add(name)
        text = "Plugin %s is loaded again: its file has changed" if known else "Plugin %s is loaded"
        extra = {"action": "classic.reloaded" if known else "classic.loaded", "plugin": name}
        logger.info(text, name, extra=extra)
        for warning in change.loaded.statuses[0].warnings if change.loaded else ():
            logger.warning("Plugin %s: %s", name, warning, extra=extra)
        return change

    def _drop(self, name: str) -> Change | None:
        self._settings.classic_files.pop(name, None)
        table = self._settings.plugins.pop(name, None)
        if table is None or name not in self._loaded:
            return None
        self._loaded.discard(name)
        sys.modules.pop(module_name(name), None)
        text = "Plugin %s is no longer called: its file is gone; its place is kept"
        logger.warning(text, name, extra={"action": "classic.removed", "plugin": name})
        return Change(name, group_and_lane(table, self._settings)[1])

    def _report_helper(self, path: Path) -> None:
        text = "%s is not a plugin; what imported it keeps the old one until `sgevents reload`"
        logger.info(text, path, extra={"action": "classic.helper_changed"})


def load_file(settings: Settings, name: str, watch: PluginWatch) -> Loaded:
    """Load the plugin in one classic file; if that fails, its module stays as it was."""
    only = replace(settings, plugins={name: settings.plugins[name]})
    discovery = Discovery(found={name: classic_plugins(settings)[name]})
    with _module_put_aside(module_name(name)):
        return load(only, discovery, watch=watch)


@contextmanager
def _module_put_aside(name: str) -> Iterator[None]:
    """Let the block import a module anew, and put back the old one if it does not."""
    module = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if module is not None:
            sys.modules.setdefault(name, module)
