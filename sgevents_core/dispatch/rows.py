"""Events made of the rows that the journal keeps."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from sgevents_core.events import Event

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def event_of(body: bytes) -> Event:
    """Return the event of a row as the journal keeps it."""
    try:
        return Event(_decode(body))
    except msgspec.DecodeError:
        return Event(json.loads(body))  # a lone surrogate, which a site may well send
