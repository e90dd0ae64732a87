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
        of_files = (
            source_report.secrets
            for folder_report in self.folders
            for source_report in folder_report.files
        )
        return frozenset(of_ini).union(*of_files)

    def positions(self, id_file: Path, config_settings: Settings | None = None) -> Positions:
        """Return where the plugins continue.

        Args:
            id_file: The file that says so.
            config_settings: The configuration of sgevents, which may name groups otherwise by now.

        Raises:
            IdFileError: The file cannot be read.
        """
        plugin_folders = [
            (folder_report.folder.written, _classic_folder(folder_report.folder))
            for folder_report in self.folders
        ]
        if config_settings is not None:
            plugin_folders = list(_written_folders(config_settings, self.ini))
        folder_plugins = [
            _folder_of_plugins(written_folders, moved_folder)
            for written_folders, moved_folder in plugin_folders
        ]
        return positions_in(read_id_file(id_file), folder_plugins)


def look_at(ini_path: Path, environment: Mapping[str, str] = os.environ) -> Move:
    """Gather the facts about moving a classic configuration; no plugin is executed.

    Raises:
        IniFileError: It cannot be read.
    """
    ini_file = read_ini_file(ini_path, environment)
    searched_folders = _daemon_folder(ini_path)
    classic_paths = draft_of(ini_file).folders
    module_folders = [*searched_folders, *(classic_path.path for classic_path in classic_paths)]
    folder_reports = [
        _folder_report(classic_path, module_folders, environment) for classic_path in classic_paths
    ]
    imported_names = {
        imported_name
        for folder_report in folder_reports
        for source_report in folder_report.files
        for imported_name in source_report.modules
    }
    on_files = {
        folder_report.folder.group: list(_decisions_on(folder_report.files))
        for folder_report in folder_reports
    }
    config_draft = draft_of(
        ini_file,
        [folder_path for folder_path in searched_folders if folder_path in imported_names],
        on_files,
        [
            f"{file_report.path.name}, line {source_remark.line}: {source_remark.text}"
            for folder_report in folder_reports
            for file_report in folder_report.files
            for source_remark in file_report.remarks
            if source_remark.kind == "main thread"
        ],
    )
    return Move(ini_file, config_draft, folder_reports, _running(config_draft.pid_file))


def _decisions_on(file_reports: Sequence[SourceReport]) -> Iterator[str]:
    """Yield the decisions about plugin files that are left to a person."""
    for source_report in file_reports:
        for source_remark in source_report.remarks:
            if source_report.is_helper or source_remark.kind not in {*STOPPING, "key"}:
                continue
            code_place = (
                f"{source_report.path.name}, line {source_remark.line}"
                if source_remark.line
                else source_report.path.name
            )
            old_files = "it is Python 2, " if source_remark.kind == "python 2" else ""
            yield without_secrets(
                f"{code_place}: {old_files}{source_remark.text}", source_report.secrets
            )


def _daemon_folder(ini_path: Path) -> list[Path]:
    """Return the folder of the classic daemon, in which plugins find modules, if it is known."""
    ini_folder = ini_path.resolve().parent
    return [ini_folder] if (ini_folder / DAEMON_FILE).is_file() else []


def _folder_report(
    classic_path: ClassicPath, searched_folders: Sequence[Path], environment: Mapping[str, str]
) -> FolderReport:
    try:
        file_names = python_files(classic_path.path)
    except OSError as folder_error:
        return FolderReport(classic_path, trouble=folder_error.strerror or str(folder_error))
    file_reports = [
        report_on(classic_path.path / file_name, searched_folders, environment)
        for file_name in file_names
    ]
    return FolderReport(classic_path, file_reports, fork_folders(classic_path.path))


def _classic_folder(classic_path: ClassicPath) -> ClassicFolder:
    return ClassicFolder(path=classic_path.path, group=classic_path.group)


def _folder_of_plugins(written_path: str, classic_folder: ClassicFolder) -> FolderOfPlugins:
    try:
        file_stems = [
            file_path.name.removesuffix(".py")
            for file_path in plugin_files(classic_folder).values()
        ]
    except OSError:
        return FolderOfPlugins(written_path, classic_folder.group_name, None)
    return FolderOfPlugins(written_path, classic_folder.group_name, file_stems)


def _running(pid_file: Path | None) -> int | None:
    """Return the process that a file names, if there is one."""
    if pid_file is None:
        return None
    with suppress(OSError, ValueError):
        process_id = int(pid_file.read_text("ascii")[:20])
        if process_id > 0:
            os.kill(process_id, 0)
            return process_id
    return None


def import_positions(
    state_folder: Path, plugin_positions: Positions, id_file: Path, current_time: float
) -> None:
    """Create a state in which plugins continue at their positions.

    Args:
        state_folder: The state's folder.
        plugin_positions: The plugins' positions.
        id_file: The file that the positions come from, for people.
        current_time: The time, in seconds since 1970.

    Raises:
        NoPositionsError: There are none.
        StateBegunError: A daemon has worked on the state already.
        StateError: The state cannot be written, or is in use.
    """
    if plugin_positions.is_empty:
        raise NoPositionsError(path=id_file)
    with (
        closing(StateLock(state_folder, "migrate")),
        closing(open_state(state_folder).writer()) as state_writer,
    ):
        position_change = plugin_positions.feed_change(current_time)
        if not state_writer.import_positions(
            position_change, plugin_positions.imported(), DEFAULT_LANE
        ):
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


def export_positions(
    config_settings: Settings, id_path: Path, ini_file: IniFile | None, current_time: datetime
) -> Left:
    """Write the classic plugins' positions to a file that the classic daemon reads.

    Args:
        config_settings: The configuration of sgevents; its daemon must not run.
        id_path: The file to write.
        ini_file: The classic daemon's configuration, which says how it writes folders.
        current_time: The local time, without a time zone.

    Raises:
        NothingToExportError: The state knows none of the plugins.
        StateInUse: The daemon runs.
        StateError: The state cannot be read.
        IdFileExistsError: The file exists.
        IdFileError: It cannot be written.
    """
    state_folder = config_settings.state.path
    if not open_state(state_folder).is_made():
        raise NothingToExportError(path=state_folder)
    with (
        closing(StateLock(state_folder, "migrate")),
        closing(open_state(state_folder).writer()) as state_writer,
    ):
        fold_registers(state_folder, state_writer)
        plugin_folders = {
            written_path: _plugins_in(classic_folder, state_writer.plugins())
            for written_path, classic_folder in _written_folders(config_settings, ini_file)
        }
        plugin_names = [
            plugin_name
            for folder_plugins in plugin_folders.values()
            for plugin_name in folder_plugins.values()
        ]
        plugin_positions = positions_left(state_writer, plugin_names, current_time)
        letter_counts = state_writer.dead_letter_counts()
        feed_trouble = state_writer.feed_trouble()
    if not plugin_positions:
        raise NothingToExportError(path=state_folder)
    stored_state = {
        plugin_name: left_position.position
        for plugin_name, left_position in plugin_positions.items()
    }
    write_id_file(id_path, by_folder(stored_state, plugin_folders))
    return Left(
        plugin_positions,
        [plugin_name for plugin_name in plugin_names if plugin_name not in plugin_positions],
        sum(
            letter_counts[plugin_name][0]
            for plugin_name in plugin_names
            if plugin_name in letter_counts
        ),
        feed_trouble.parked_count,
    )


def _written_folders(
    config_settings: Settings, ini_file: IniFile | None
) -> Iterator[tuple[str, ClassicFolder]]:
    """Yield each folder of classic plugins with the text by which the classic daemon knows it."""
    known_paths = draft_of(ini_file).folders if ini_file is not None else []
    for classic_folder in config_settings.classic_folders:
        written_texts = [
            classic_path.written
            for classic_path in known_paths
            if os.path.normpath(classic_path.path) == str(classic_folder.path)
        ]
        yield (written_texts[0] if written_texts else str(classic_folder.path)), classic_folder


def _plugins_in(classic_folder: ClassicFolder, known_plugins: Iterable[str]) -> dict[str, str]:
    """Return the plugins of a folder by the stem of their file, also of files that are gone now.

    Args:
        classic_folder: The folder.
        known_plugins: The plugins that the state knows.
    """
    plugin_paths: dict[str, Path] = {}
    with suppress(OSError):
        plugin_paths = plugin_files(classic_folder)
    name_prefix = plugin_name(classic_folder, "")
    plugin_names = [
        *plugin_paths,
        *(known_name for known_name in known_plugins if known_name.startswith(name_prefix)),
    ]
    return {known_name.removeprefix(name_prefix): known_name for known_name in plugin_names}
