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
from sgevents_core.migrating.unpickling import BrokenPickleError, RefusedPickleError, unpickle
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


def read_id_file(path: Path) -> StoredState:
    """Return the content of an `.id` file.

    Raises:
        IdFileError: It cannot be read, or is not such a file.
    """
    try:
        return parse_id_file(read_plain_file(path, _MOST_BYTES))
    except RefusedPickleError as error:
        problem = f"it holds {error.name}, which no classic daemon writes, and is not read"
        fix = "Do not let the classic daemon read it either: such a file can run any program."
    except (BrokenPickleError, ShapeError) as error:
        problem, fix = str(error), _FIX
    except NotPlainError as error:
        problem, fix = f"it {error.problem_text}", _FIX
    except OSError as error:
        problem, fix = f"it cannot be read: {error.strerror}", "Let this user read it."
    raise IdFileError(path=path, problem=problem, advice=fix)


def parse_id_file(content: bytes) -> StoredState:
    """Return the content of an `.id` file; see `read_id_file` for the errors."""
    if not content.strip():
        raise BrokenPickleError("it is empty: the classic daemon ended while it wrote it")
    integer = content.split(b"\n", 1)[0].strip()
    if integer.isdigit() and len(integer) <= _LONGEST_INTEGER:
        return StoredState({}, _event_id(int(integer), "its number"))
    stored = unpickle(content)
    if type(stored) is int:
        return StoredState({}, _event_id(stored, "its number"))
    if type(stored) is not dict:
        raise ShapeError("it holds no positions by folder")
    return StoredState({_text(folder): _folder(value) for folder, value in stored.items()})


class ShapeError(Exception):
    """The classic daemon does not write such content."""


def _folder(value: Any) -> StoredFolder:
    if type(value) is int:
        return _event_id(value, "a number")
    if type(value) is not dict:
        raise ShapeError("a folder in it holds no positions by plugin")
    return {_text(plugin): _position(position) for plugin, position in value.items()}


def _position(value: Any) -> StoredPosition:
    if type(value) is int:
        return StoredPosition(_event_id(value, "a position"), {})
    if type(value) is not tuple or len(value) != 2:
        raise ShapeError("a position in it is no id with a backlog")
    last_id, backlog = value
    if type(backlog) is not dict or not all(type(at) is datetime for at in backlog.values()):
        raise ShapeError("a backlog in it is no dict of ids and times")
    ids = {_event_id(id_, "an id of a backlog"): at for id_, at in backlog.items()}
    return StoredPosition(None if last_id is None else _event_id(last_id, "a position"), ids)


def _event_id(value: Any, value_name: str) -> int:
    if type(value) is not int or not 0 <= value <= _HIGHEST_ID:
        raise ShapeError(f"{value_name} in it is no id of an event")
    return value


def _text(value: Any) -> str:
    """Return a string, decoding the bytes that Python 2 stored."""
    if type(value) is bytes:
        return os.fsdecode(value)
    if type(value) is not str:
        raise ShapeError("the name of a folder or plugin in it is no text")
    return value


def id_file_content(folders: Mapping[str, Mapping[str, StoredPosition]]) -> bytes:
    """Return the content of an `.id` file that classic daemons on Python 2 and 3 read."""
    plain = {
        folder: {name: (last_id, dict(backlog)) for name, (last_id, backlog) in plugins.items()}
        for folder, plugins in folders.items()
    }
    return pickle.dumps(plain, protocol=_PROTOCOL)


def write_id_file(path: Path, folders: Mapping[str, Mapping[str, StoredPosition]]) -> None:
    """Write an `.id` file, whole or not at all, and never over another file.

    Raises:
        IdFileExistsError: There is a file already.
        IdFileError: It cannot be written.
    """
    try:
        descriptor, draft_name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        draft = Path(draft_name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(id_file_content(folders))
                file.flush()
                os.fsync(file.fileno())
            draft.chmod(0o644)
            os.link(draft, path)
        finally:
            draft.unlink()
    except FileExistsError:
        raise IdFileExistsError(path=path) from None
    except OSError as error:
        problem = f"it cannot be written: {error.strerror}"
        raise IdFileError(path=path, problem=problem, advice="Name another file.") from None
