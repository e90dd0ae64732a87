"""Finding all plugins: those of installed packages, and the files in classic folders."""

from __future__ import annotations

import sys
from pathlib import Path

from msgspec.structs import replace

from sgevents_core.classic.mailing import Mailer
from sgevents_core.classic.source import ClassicSource
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.discovery import Discovery, FoundPlugin, discover
from sgevents_core.settings import Settings


def find_plugins(settings: Settings) -> Discovery:
    """Return all plugins that are installed or in a classic folder; nothing is imported.

    The folders in which classic plugins look for modules are put on the search path.
    """
    _extend_search_path(settings)
    return discover().including(classic_plugins(settings))


def classic_plugins(settings: Settings) -> dict[str, FoundPlugin]:
    """Return the plugins in classic folders, by name."""
    files = settings.classic_files
    mailer = None
    if settings.smtp is not None and files:
        mailer = Mailer(settings.smtp, Redactor.of(settings))
    return {name: _found_plugin(name, path, settings, mailer) for name, path in files.items()}


def without_classic(settings: Settings) -> Settings:
    """Return settings without classic plugins: they have no commands and no settings model.

    So they need not be executed to list commands and models.
    """
    packaged = {
        name: table
        for name, table in settings.plugins.items()
        if name not in settings.classic_files
    }
    return replace(settings, plugins=packaged)


def _found_plugin(name: str, path: Path, settings: Settings, mailer: Mailer | None) -> FoundPlugin:
    source = ClassicSource(
        path,
        settings.learned_secrets,
        takes_policy=name not in settings.classic_on_error,
        mailer=mailer,
        level=settings.log.levels.get(name),
    )
    return FoundPlugin(
        name=name, value=str(path), distribution=str(path.parent), version=None, source=source
    )


def _extend_search_path(settings: Settings) -> None:
    """Append the classic folders and `[classic] syspath`, so that they hide no other module."""
    folders = [folder.path for folder in settings.classic_folders]
    folders += [
        settings.path.parent / Path(folder).expanduser() for folder in settings.classic.syspath
    ]
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]
