"""Events made of the rows that the journal keeps."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

from sgevents_core.events import Event
from sgevents_core.journal.sqlite import SqliteState
from sgevents_core.scripts import Scripts

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def event_of(body: bytes, scripts: Scripts | None = None) -> Event:
    """Return the event of a row as the journal keeps it.

    Args:
        body: The row as JSON.
        scripts: What the scripts of its site are called.
    """
    try:
        return Event(_decode(body), scripts)
    except msgspec.DecodeError:
        return Event(json.loads(body), scripts)  # a lone surrogate, which a site may well send


def read_scripts(folder: Path) -> Scripts:
    """Return what the state in `folder` knows of the scripts of its site.

    Raises:
        StateError: The state cannot be read.
    """
    with closing(SqliteState(folder, read_only=True)) as state:
        return Scripts(state.scripts())
