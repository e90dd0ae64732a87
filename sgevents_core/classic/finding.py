"""Finding all plugins: those of installed packages, and the files in classic folders."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec.structs import replace

from sgevents_core.classic.mailing import Mailer
from sgevents_core.classic.source import ClassicSource
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.discovery import Discovery, FoundPlugin, discover
from sgevents_core.plugins.loading import group_and_lane
from sgevents_core.settings import Settings
from sgevents_core.settings.model import DEFAULT_LANE


def find_plugins(settings: Settings) -> Discovery:
    """Return all plugins that are installed or in a classic folder; nothing is imported.

    The folders in which classic plugins look for modules are put on the search path.
    """
    _extend_search_path(settings)
    return discover().including(classic_plugins(settings))


def classic_plugins(settings: Settings) -> dict[str, FoundPlugin]:
    """Return the plugins in classic folders, by name."""
    plugin_files = settings.classic_files
    shared_mailer = None
    if settings.smtp is not None and plugin_files:
        shared_mailer = Mailer(settings.smtp, Redactor.of(settings))
    return {
        plugin_name: _found_plugin(plugin_name, file_path, settings, shared_mailer)
        for plugin_name, file_path in plugin_files.items()
    }


def without_classic(settings: Settings) -> Settings:
    """Return settings without classic plugins: they have no commands and no settings model.

    So they need not be executed to list commands and models.
    """
    packaged_tables = {
        plugin_name: plugin_table
        for plugin_name, plugin_table in settings.plugins.items()
        if plugin_name not in settings.classic_files
    }
    return replace(settings, plugins=packaged_tables)


def _found_plugin(
    plugin_name: str, file_path: Path, settings: Settings, shared_mailer: Mailer | None
) -> FoundPlugin:
    classic_source = ClassicSource(
        file_path,
        settings.learned_secrets,
        takes_policy=plugin_name not in settings.classic_on_error,
        mailer=shared_mailer,
        level=settings.log.levels.get(plugin_name),
        is_in_main_thread=has_processes(_lane_of(plugin_name, settings), settings),
    )
    return FoundPlugin(
        name=plugin_name,
        value=str(file_path),
        distribution=str(file_path.parent),
        version=None,
        source=classic_source,
    )


def _lane_of(plugin_name: str, settings: Settings) -> str:
    plugin_table = settings.plugins.get(plugin_name)
    return group_and_lane(plugin_table, settings)[1] if plugin_table is not None else DEFAULT_LANE


def has_processes(lane_name: str, settings: Settings) -> bool:
    """Return whether worker processes load the plugins of a lane."""
    lane_table = settings.lanes.get(lane_name)
    return lane_table is not None and lane_table.executor == "process"


def _extend_search_path(settings: Settings) -> None:
    """Append the classic folders and `[classic] syspath`, so that they hide no other module."""
    module_folders = [module_folder.path for module_folder in settings.classic_folders]
    module_folders += [
        settings.path.parent / Path(module_folder).expanduser()
        for module_folder in settings.classic.syspath
    ]
    sys.path += [
        str(module_folder) for module_folder in module_folders if str(module_folder) not in sys.path
    ]
