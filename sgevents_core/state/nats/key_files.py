"""The files that hold the keys to sign in with, looked at before nats-py reads them.

It would read a file without a key for ever.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import nkeys
from nats.errors import Error

from sgevents_core.settings.state_settings import StateSettings

_TOKEN_LINE: Final = b"BEGIN NATS USER JWT"
_SEED_LINE: Final = b"BEGIN USER NKEY SEED"


class KeyFileError(Error):
    """A file does not hold what it should; the text is for people."""


def check_key_files(state: StateSettings) -> None:
    """Check the files that `[state]` names.

    Raises:
        KeyFileError: One holds no key.
        OSError: One cannot be read.
    """
    if state.credentials is not None:
        _check_credentials(state.credentials)
    if state.nkey is not None:
        _check_seed(state.nkey, Path(state.nkey).read_bytes().strip())


def _check_credentials(path_text: str) -> None:
    lines = Path(path_text).read_bytes().splitlines()
    texts = {}
    for marker in (_TOKEN_LINE, _SEED_LINE):
        below = [lines[place + 1] for place, line in enumerate(lines[:-1]) if marker in line]
        if not below:
            raise KeyFileError(f"{path_text} holds no credentials of a user")
        texts[marker] = below[0].strip()
    _check_seed(path_text, texts[_SEED_LINE])


def _check_seed(path_text: str, seed: bytes) -> None:
    try:
        nkeys.from_seed(bytearray(seed)).wipe()
    except Exception:
        raise KeyFileError(f"{path_text} holds no key of NATS") from None
