"""The `.id` file, in which the classic daemon keeps the positions of its plugins: both ways."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from sgevents_core.errors import IdFileError, IdFileExistsError
from sgevents_core.migrating.pickled_values import BrokenPickleError, RefusedPickleError
from sgevents_core.migrating.unpickling import unpickle
from sgevents_core.settings.plain_files import NotPlainError, read_plain_file

_MOST_BYTES: Final = 256 * 1024 * 1024
_LONGEST_INTEGER: Final = 20
_HIGHEST_ID: Final = 2**63 - 1
_PROTOCOL: Final = 2
"""The newest protocol that a classic daemon on Python 2 reads."""
_FIX: Final = (
    "Was the file copied while the classic daemon wrote it? Stop that daemon and try again."
    " Without its positions, plugins begin where start in [feed] says: --without-id."
)


class StoredPosition(NamedTuple):
    """The position of one plugin as the classic daemon stores it.

    Args:
        last_id: The last event that it handled; None if it had none.
        backlog: The ids that it still waits for, each with the local time until which it does.
    """

    last_id: int | None
    backlog: Mapping[int, datetime]


StoredFolder: TypeAlias = int | dict[str, StoredPosition]
"""The positions in one folder, by plugin; or one number for all of them."""


class StoredState(NamedTuple):
    """The content of an `.id` file.

    Args:
        folders: The positions by folder, as the configuration wrote it.
        everywhere: In the oldest form, the one number for all plugins; None otherwise.
    """

    folders: Mapping[str, StoredFolder]
    everywhere: int | None = None


def read_id_file(file_path: Path) -> StoredState:
    """Return the content of an `.id` file.

    Raises:
        IdFileError: It cannot be read, or is not such a file.
    """
    try:
        return parse_id_file(read_plain_file(file_path, _MOST_BYTES))
    except RefusedPickleError as read_error:
        problem_text = (
            f"it holds {read_error.name}, which no classic daemon writes, and is not read"
        )
        fix_text = "Do not let the classic daemon read it either: such a file can run any program."
    except (BrokenPickleError, ShapeError) as read_error:
        problem_text, fix_text = str(read_error), _FIX
    except NotPlainError as read_error:
        problem_text, fix_text = f"it {read_error.problem_text}", _FIX
    except OSError as read_error:
        problem_text, fix_text = (
            f"it cannot be read: {read_error.strerror}",
            "Let this user read it.",
        )
    raise IdFileError(path=file_path, problem=problem_text, advice=fix_text)


def parse_id_file(file_content: bytes) -> StoredState:
    """Return the content of an `.id` file; see `read_id_file` for the errors."""
    if not file_content.strip():
        raise BrokenPickleError("it is empty: the classic daemon ended while it wrote it")
    whole_number = file_content.split(b"\n", 1)[0].strip()
    if whole_number.isdigit() and len(whole_number) <= _LONGEST_INTEGER:
        return StoredState({}, _event_id(int(whole_number), "its number"))
    stored_value = unpickle(file_content)
    if type(stored_value) is int:
        return StoredState({}, _event_id(stored_value, "its number"))
    if type(stored_value) is not dict:
        raise ShapeError("it holds no positions by folder")
    return StoredState(
        {
            _text(folder_positions): _folder(raw_value)
            for folder_positions, raw_value in stored_value.items()
        }
    )


class ShapeError(Exception):
    """The classic daemon does not write such content."""


def _folder(raw_value: Any) -> StoredFolder:
    if type(raw_value) is int:
        return _event_id(raw_value, "a number")
    if type(raw_value) is not dict:
        raise ShapeError("a folder in it holds no positions by plugin")
    return {
        _text(plugin_name): _position(plugin_position)
        for plugin_name, plugin_position in raw_value.items()
    }


def _position(raw_value: Any) -> StoredPosition:
    if type(raw_value) is int:
        return StoredPosition(_event_id(raw_value, "a position"), {})
    if type(raw_value) is not tuple or len(raw_value) != 2:
        raise ShapeError("a position in it is no id with a backlog")
    last_id, waiting_ids = raw_value
    if type(waiting_ids) is not dict or not all(
        type(expires_at) is datetime for expires_at in waiting_ids.values()
    ):
        raise ShapeError("a backlog in it is no dict of ids and times")
    event_ids = {
        _event_id(event_id, "an id of a backlog"): expires_at
        for event_id, expires_at in waiting_ids.items()
    }
    return StoredPosition(None if last_id is None else _event_id(last_id, "a position"), event_ids)


def _event_id(raw_value: Any, value_name: str) -> int:
    if type(raw_value) is not int or not 0 <= raw_value <= _HIGHEST_ID:
        raise ShapeError(f"{value_name} in it is no id of an event")
    return raw_value


def _text(raw_value: Any) -> str:
    """Return a string, decoding the bytes that Python 2 stored."""
    if type(raw_value) is bytes:
        return os.fsdecode(raw_value)
    if type(raw_value) is not str:
        raise ShapeError("the name of a folder or plugin in it is no text")
    return raw_value


def id_file_content(positions_by_folder: Mapping[str, Mapping[str, StoredPosition]]) -> bytes:
    """Return the content of an `.id` file that classic daemons on Python 2 and 3 read."""
    plain_folders = {
        folder_positions: {
            folder_name: (last_id, dict(waiting_ids))
            for folder_name, (last_id, waiting_ids) in plain_positions.items()
        }
        for folder_positions, plain_positions in positions_by_folder.items()
    }
    return pickle.dumps(plain_folders, protocol=_PROTOCOL)


def write_id_file(
    file_path: Path, positions_by_folder: Mapping[str, Mapping[str, StoredPosition]]
) -> None:
    """Write an `.id` file, whole or not at all, and never over another file.

    Raises:
        IdFileExistsError: There is a file already.
        IdFileError: It cannot be written.
    """
    try:
        file_descriptor, draft_name = tempfile.mkstemp(
            dir=file_path.parent, prefix=f".{file_path.name}."
        )
        draft_path = Path(draft_name)
        try:
            with os.fdopen(file_descriptor, "wb") as file:
                file.write(id_file_content(positions_by_folder))
                file.flush()
                os.fsync(file.fileno())
            draft_path.chmod(0o644)
            os.link(draft_path, file_path)
        finally:
            draft_path.unlink()
    except FileExistsError:
        raise IdFileExistsError(path=file_path) from None
    except OSError as read_error:
        problem_text = f"it cannot be written: {read_error.strerror}"
        raise IdFileError(
            path=file_path, problem=problem_text, advice="Name another file."
        ) from None
