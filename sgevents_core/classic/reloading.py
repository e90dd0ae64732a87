"""Reload classic files that changed while the daemon runs, and report the outcome of each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from sgevents_core.classic.finding import classic_plugins, has_processes
from sgevents_core.classic.source import compile_file, module_name
from sgevents_core.errors import UnusablePluginError
from sgevents_core.plugins.discovery import Discovery
from sgevents_core.plugins.load_watching import KnownBroken, PluginWatch
from sgevents_core.plugins.loading import Loaded, LoadedPlugin, group_and_lane, load
from sgevents_core.plugins.plugin_status import PluginStatus
from sgevents_core.settings import ClassicFolder, PluginSettings, Settings
from sgevents_core.settings.classic_listing import is_helper, plugin_name, table_of_new_file

logger = logging.getLogger("sgevents.daemon")


def do_nothing(ignored_report: object) -> None:
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


class ClassicReloading:
    """The classic plugins of a running daemon, and the tables that the configuration has for them.

    It keeps `settings.plugins` and `settings.classic_files` as the folders are.

    Args:
        settings: The configuration of the running daemon.
        plugin_names: The plugins that are loaded.
        left_out: Plugins that are left out of this run.
        report_again: Called with a file that exists but cannot be read, to have it reported again.
        on_failure: Called with the status of a plugin whose file cannot be loaded.
    """

    def __init__(
        self,
        settings: Settings,
        plugin_names: Sequence[str],
        *,
        left_out: Container[str] = (),
        report_again: Callable[[Path], None] = do_nothing,
        on_failure: Callable[[PluginStatus], None] = do_nothing,
    ) -> None:
        self._settings = settings
        self._left_out = left_out
        self._report_again = report_again
        self._on_failure = on_failure
        self._plugin_tables = dict(settings.plugins)
        self._loaded_names = {
            plugin_name for plugin_name in plugin_names if plugin_name in settings.classic_files
        }

    def examine(self, file_path: Path, *, is_there: bool) -> Change | str | None:
        """Return what follows from a change of a file.

        Args:
            file_path: The file.
            is_there: Whether the file still exists.

        Returns:
            The change for a lane if its plugin is gone, or a file is new and cannot be loaded; the
            name of a plugin to load; None if nothing follows.
        """
        classic_folder = next(
            listed_folder
            for listed_folder in self._settings.classic_folders
            if listed_folder.path == file_path.parent
        )
        name = plugin_name(classic_folder, file_path.name)
        if not is_there:
            return self._drop(name)
        try:
            file_path.read_bytes()
        except OSError:
            self._report_again(file_path)
            return None
        if name not in self._loaded_names and is_helper(file_path):
            self._report_helper(file_path)
            return None
        plugin_table = self._enter(name, file_path, classic_folder)
        if not plugin_table.enabled or name in self._left_out:
            return None
        try:
            compile_file(file_path, self._settings.learned_secrets)
        except UnusablePluginError as file_error:
            return self.reject(name, KnownBroken(file_error.reason, file_error.fix))
        return name

    def load(self, plugin_name: str, plugin_watch: PluginWatch) -> Change | None:
        """Load a plugin's changed file, unless worker processes do; return the change for its lane.

        A file that cannot be loaded changes nothing for a plugin that is loaded already.

        Args:
            plugin_name: The plugin's name.
            plugin_watch: Watches the code in the file.
        """
        plugin_change = Change(plugin_name, self._lane_of(plugin_name))
        if has_processes(plugin_change.lane, self._settings):
            return self._take(plugin_change)
        loaded_plugin = load_file(self._settings, plugin_name, plugin_watch)
        plugin_status = loaded_plugin.statuses[0]
        if not loaded_plugin.plugins:
            return self.reject(
                plugin_name,
                KnownBroken(plugin_status.reason, plugin_status.fix, plugin_status.traceback),
            )
        return self._take(plugin_change._replace(loaded=loaded_plugin))

    def reject(self, plugin_name: str, known_problem: KnownBroken) -> Change | None:
        """Report that a file cannot be loaded; return the change for a lane if it is new.

        Args:
            plugin_name: The plugin's name.
            known_problem: Why it cannot be loaded.
        """
        known_problem = known_problem._replace(reason=known_problem.reason.rstrip("."))
        broken_plugin = load_file(
            self._settings, plugin_name, PluginWatch({plugin_name: known_problem})
        )
        plugin_status = broken_plugin.statuses[0]
        is_loaded = plugin_name in self._loaded_names
        continuation = ", and continues as it was" if is_loaded else ""
        record_fields = {
            "action": "classic.not_loaded",
            "plugin": plugin_name,
            "traceback": plugin_status.traceback,
        }
        message_text = "Plugin %s cannot be loaded%s: %s. %s"
        logger.error(
            message_text,
            plugin_name,
            continuation,
            plugin_status.reason,
            plugin_status.fix,
            extra=record_fields,
        )
        self._on_failure(plugin_status)
        return None if is_loaded else Change(plugin_name, self._lane_of(plugin_name), broken_plugin)

    def _lane_of(self, plugin_name: str) -> str:
        return group_and_lane(self._settings.plugins[plugin_name], self._settings)[1]

    def _enter(
        self, plugin_name: str, file_path: Path, classic_folder: ClassicFolder
    ) -> PluginSettings:
        plugin_table = self._plugin_tables.get(plugin_name) or table_of_new_file(classic_folder)
        self._settings.plugins[plugin_name] = plugin_table
        self._settings.classic_files[plugin_name] = file_path
        return plugin_table

    def _take(self, plugin_change: Change) -> Change:
        plugin_name = plugin_change.name
        was_loaded = plugin_name in self._loaded_names
        self._loaded_names.add(plugin_name)
        message_text = (
            "Plugin %s is loaded again: its file has changed"
            if was_loaded
            else "Plugin %s is loaded"
        )
        record_fields = {
            "action": "classic.reloaded" if was_loaded else "classic.loaded",
            "plugin": plugin_name,
        }
        logger.info(message_text, plugin_name, extra=record_fields)
        for warning_text in (
            plugin_change.loaded.statuses[0].warnings if plugin_change.loaded else ()
        ):
            logger.warning("Plugin %s: %s", plugin_name, warning_text, extra=record_fields)
        return plugin_change

    def _drop(self, plugin_name: str) -> Change | None:
        self._settings.classic_files.pop(plugin_name, None)
        plugin_table = self._settings.plugins.pop(plugin_name, None)
        if plugin_table is None or plugin_name not in self._loaded_names:
            return None
        self._loaded_names.discard(plugin_name)
        sys.modules.pop(module_name(plugin_name), None)
        message_text = "Plugin %s is no longer called: its file is gone; its position is kept"
        logger.warning(
            message_text, plugin_name, extra={"action": "classic.removed", "plugin": plugin_name}
        )
        return Change(plugin_name, group_and_lane(plugin_table, self._settings)[1])

    def _report_helper(self, file_path: Path) -> None:
        message_text = (
            "%s is not a plugin; modules that are already imported stay as they are until "
            "`sgevents reload`"
        )
        logger.info(message_text, file_path, extra={"action": "classic.helper_changed"})


def load_file(settings: Settings, plugin_name: str, plugin_watch: PluginWatch) -> Loaded:
    """Load the plugin in one classic file; if that fails, its module stays as it was."""
    file_settings = replace(settings, plugins={plugin_name: settings.plugins[plugin_name]})
    file_discovery = Discovery(found={plugin_name: classic_plugins(settings)[plugin_name]})
    with _module_put_aside(module_name(plugin_name)):
        return load(file_settings, file_discovery, watch=plugin_watch)


@contextmanager
def _module_put_aside(module_name: str) -> Iterator[None]:
    """Let the block import a module anew, and put back the old one if it does not."""
    put_aside = sys.modules.pop(module_name, None)
    try:
        yield
    finally:
        if put_aside is not None:
            sys.modules.setdefault(module_name, put_aside)
