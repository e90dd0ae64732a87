"""The whole move: gather the facts, then write the files. Prints nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from sgevents_core.crashes.recovering import fold_registers
from sgevents_core.errors import NoPositionsError, NothingToExportError, StateBegunError
from sgevents_core.migrating.config_values import ClassicPath, Draft
from sgevents_core.migrating.configuration import draft_of
from sgevents_core.migrating.id_file import read_id_file, write_id_file
from sgevents_core.migrating.ini_file import IniFile, read_ini_file
from sgevents_core.migrating.leaving import LeftPosition, by_folder, positions_left
from sgevents_core.migrating.positions import FolderOfPlugins, Positions, positions_in
from sgevents_core.migrating.remarks import STOPPING
from sgevents_core.migrating.source_report import SourceReport, fork_folders, report_on
from sgevents_core.migrating.written_keys import without_secrets
from sgevents_core.settings import ClassicFolder, Settings
from sgevents_core.settings.classic_listing import plugin_files, plugin_name, python_files
from sgevents_core.settings.model import DEFAULT_LANE
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state

DAEMON_FILE: Final = "shotgunEventDaemon.py"
STATE_FOLDER: Final = "state"


class FolderReport(NamedTuple):
    """The facts about a folder of plugins.

    Args:
        folder: The folder.
        files: Its files, in the order in which they are called.
        forks: Folders in it that only some versions of the classic daemon load.
        trouble: Why it cannot be read; empty if it can.
    """

    folder: ClassicPath
    files: Sequence[SourceReport] = ()
    forks: Sequence[Path] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """All facts that are gathered before anything is written.

    Args:
        ini: The classic daemon's configuration.
        draft: The configuration made from it.
        folders: Its folders of plugins.
        running: The process of the classic daemon, if it runs on this machine.
    """

    ini: IniFile
    draft: Draft
    folders: Sequence[FolderReport]
    running: int | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that must never be shown."""
        of_ini = {
            secret_place.option.value
            for secret_place in self.draft.secrets
            if secret_place.option.value
        }
        of_files = (report.secrets for folder in self.folders for report in folder.files)
        return frozenset(of_ini).union(*of_files)

    def positions(self, id_file: Path, settings: Settings | None = None) -> Positions:
        """Return where the plugins continue.

        Args:
            id_file: The file that says so.
            settings: The configuration of sgevents, which may name groups otherwise by now.

        Raises:
            IdFileError: The file cannot be read.
        """
        folders = [
            (folder_report.folder.written, _classic_folder(folder_report.folder))
            for folder_report in self.folders
        ]
        if settings is not None:
            folders = list(_written_folders(settings, self.ini))
        plugins = [_folder_of_plugins(written, folder) for written, folder in folders]
        return positions_in(read_id_file(id_file), plugins)


def look_at(ini_path: Path, environment: Mapping[str, str] = os.environ) -> Move:
    """Gather the facts about moving a classic configuration; no plugin is executed.

    Raises:
        IniFileError: It cannot be read.
    """
    ini = read_ini_file(ini_path, environment)
    searched = _daemon_folder(ini_path)
    folders = [_folder_report(folder, searched, environment) for folder in draft_of(ini).folders]
    imported = {
        module_folder
        for folder in folders
        for report in folder.files
        for module_folder in report.modules
    }
    on_files = {
        folder_report.folder.group: list(_decisions_on(folder_report.files))
        for folder_report in folders
    }
    draft = draft_of(ini, [folder for folder in searched if folder in imported], on_files)
    return Move(ini, draft, folders, _running(draft.pid_file))


def _decisions_on(files: Sequence[SourceReport]) -> Iterator[str]:
    """Yield the decisions about plugin files that are left to a person."""
    for report in files:
        for remark in report.remarks:
            if report.is_helper or remark.kind not in {*STOPPING, "key"}:
                continue
            place = f"{report.path.name}, line {remark.line}" if remark.line else report.path.name
            old = "it is Python 2, " if remark.kind == "python 2" else ""
            yield without_secrets(f"{place}: {old}{remark.text}", report.secrets)


def _daemon_folder(ini_path: Path) -> list[Path]:
    """Return the folder of the classic daemon, in which plugins find modules, if it is known."""
    folder = ini_path.resolve().parent
    return [folder] if (folder / DAEMON_FILE).is_file() else []


def _folder_report(
    folder: ClassicPath, searched: Sequence[Path], environment: Mapping[str, str]
) -> FolderReport:
    try:
        names = python_files(folder.path)
    except OSError as error:
        return FolderReport(folder, trouble=error.strerror or str(error))
    files = [report_on(folder.path / name, searched, environment) for name in names]
    return FolderReport(folder, files, fork_folders(folder.path))


def _classic_folder(folder: ClassicPath) -> ClassicFolder:
    return ClassicFolder(path=folder.path, group=folder.group)


def _folder_of_plugins(written: str, folder: ClassicFolder) -> FolderOfPlugins:
    try:
        stems = [path.name.removesuffix(".py") for path in plugin_files(folder).values()]
    except OSError:
        return FolderOfPlugins(written, folder.group_name, None)
    return FolderOfPlugins(written, folder.group_name, stems)


def _running(pid_file: Path | None) -> int | None:
    """Return the process that a file names, if there is one."""
    if pid_file is None:
        return None
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text("ascii")[:20])
        if pid > 0:
            os.kill(pid, 0)
            return pid
    return None


def import_positions(state_folder: Path, positions: Positions, id_file: Path, now: float) -> None:
    """Create a state in which plugins continue at their positions.

    Args:
        state_folder: The state's folder.
        positions: The plugins' positions.
        id_file: The file that the positions come from, for people.
        now: The time, in seconds since 1970.

    Raises:
        NoPositionsError: There are none.
        StateBegunError: A daemon has worked on the state already.
        StateError: The state cannot be written, or is in use.
    """
    if positions.is_empty:
        raise NoPositionsError(path=id_file)
    with (
        closing(StateLock(state_folder, "migrate")),
        closing(open_state(state_folder).writer()) as state,
    ):
        change = positions.feed_change(now)
        if not state.import_positions(change, positions.imported(), DEFAULT_LANE):
            raise StateBegunError(path=state_folder)


class Left(NamedTuple):
    """The result of exporting positions to go back.

    Args:
        positions: Each plugin's position.
        without: Plugins that the state does not know.
        dead_letters: How many dead letters these plugins have.
        parked: How many rows that came late await a decision.
    """

    positions: Mapping[str, LeftPosition]
    without: Sequence[str]
    dead_letters: int
    parked: int


def export_positions(settings: Settings, path: Path, ini: IniFile | None, now: datetime) -> Left:
    """Write the classic plugins' positions to a file that the classic daemon reads.

    Args:
        settings: The configuration of sgevents; its daemon must not run.
        path: The file to write.
        ini: The classic daemon's configuration, which says how it writes folders.
        now: The local time, without a time zone.

    Raises:
        NothingToExportError: The state knows none of the plugins.
        StateInUse: The daemon runs.
        StateError: The state cannot be read.
        IdFileExistsError: The file exists.
        IdFileError: It cannot be written.
    """
    state_folder = settings.state.path
    if not open_state(state_folder).is_made():
        raise NothingToExportError(path=state_folder)
    with (
        closing(StateLock(state_folder, "migrate")),
        closing(open_state(state_folder).writer()) as state,
    ):
        fold_registers(state_folder, state)
        folders = {
            written: _plugins_in(folder, state.plugins())
            for written, folder in _written_folders(settings, ini)
        }
        names = [name for plugins in folders.values() for name in plugins.values()]
        positions = positions_left(state, names, now)
        counts = state.dead_letter_counts()
        trouble = state.feed_trouble()
    if not positions:
        raise NothingToExportError(path=state_folder)
    stored = {name: left.position for name, left in positions.items()}
    write_id_file(path, by_folder(stored, folders))
    return Left(
        positions,
        [name for name in names if name not in positions],
        sum(counts[name][0] for name in names if name in counts),
        trouble.parked_count,
    )


def _written_folders(
    settings: Settings, ini: IniFile | None
) -> Iterator[tuple[str, ClassicFolder]]:
    """Yield each folder of classic plugins with the text by which the classic daemon knows it."""
    known = draft_of(ini).folders if ini is not None else []
    for folder in settings.classic_folders:
        same = [
            classic_path.written
            for classic_path in known
            if os.path.normpath(classic_path.path) == str(folder.path)
        ]
        yield (same[0] if same else str(folder.path)), folder


def _plugins_in(folder: ClassicFolder, known: Iterable[str]) -> dict[str, str]:
    """Return the plugins of a folder by the stem of their file, also of files that are gone now.

    Args:
        folder: The folder.
        known: The plugins that the state knows.
    """
    files: dict[str, Path] = {}
    with suppress(OSError):
        files = plugin_files(folder)
    prefix = plugin_name(folder, "")
    names = [*files, *(name for name in known if name.startswith(prefix))]
    return {name.removeprefix(prefix): name for name in names}
