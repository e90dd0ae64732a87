"""What the holders of leases write into them."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.state.plain_files import read_plain_file, replace_plain_file

HOST_PREFIX: Final = "host."
HOME_FILE: Final = "home-id"
"""The file that tells this host's files from those of another host of the same name."""


class HolderNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the holder of a lease writes into it.

    Args:
        host: The host's name.
        home: The id of the host's files: a process with the same one is this host's.
        run: The id of the process.
        since: Since when it has it, in seconds since 1970, by its own clock.
        version: Of a host: the version of the configuration and the plugins that it has.
        previous: Of a host: the version that it had until some seconds ago, if its files changed
            while it runs.
        tables: Of a host: a digest of the tables `[hosts.NAME]` by which it decides who works at
            what.
    """

    host: str
    home: str
    run: str
    since: float
    version: str = ""
    previous: str = ""
    tables: str = ""

    def encode(self) -> bytes:
        """Return it as it is written."""
        return msgspec.json.encode(self)


def read_note(holder: bytes) -> HolderNote | None:
    """Return what a holder wrote; None if this version does not understand it."""
    try:
        return msgspec.json.decode(holder, type=HolderNote)
    except msgspec.MsgspecError:
        return None


def read_home_id(state_folder: Path) -> str:
    """Return the id of this host's files; it is made at the first call.

    Raises:
        OSError: It cannot be written.
    """
    path = state_folder / HOME_FILE
    try:
        return read_plain_file(path).decode("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        home_id = secrets.token_hex(8)
        replace_plain_file(path, home_id.encode())
        return home_id
