"""What recipients were told, kept in a small file so that a restart tells nothing twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.alerts.grouping import Announced
from sgevents_core.state.plain_files import PRIVATE_FILE_MODE, read_plain_file

ALERTS_FILE: Final = "alerts.json"
_decode: Final = msgspec.json.Decoder(dict[str, dict[str, Announced]]).decode


def read_announced(state_folder: Path) -> dict[str, dict[str, Announced]]:
    """Return what recipients know of, by their identities; empty if that cannot be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return _decode(read_plain_file(state_folder / ALERTS_FILE))
    return {}


def write_announced(state_folder: Path, announced: Mapping[str, dict[str, Announced]]) -> None:
    """Keep what recipients know of; if that fails, they may be told again after a restart."""
    new_path = state_folder / f"{ALERTS_FILE}.new"
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(new_path, flags, PRIVATE_FILE_MODE), "wb") as file:
            file.write(msgspec.json.encode(announced))
        new_path.replace(state_folder / ALERTS_FILE)
