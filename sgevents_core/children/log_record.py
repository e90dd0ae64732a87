"""What a child logs, as a message to the daemon, for worker processes and the feed's process."""

from __future__ import annotations

from typing import Any

import msgspec


class LogRecord(msgspec.Struct, frozen=True, tag=True, omit_defaults=True, kw_only=True):
    """A record that was logged in a child.

    Args:
        logger: The logger's name.
        level: Its level, as a number.
        text: Its message.
        created: When, in seconds since 1970.
        fields: Its other fields.
    """

    logger: str
    level: int
    text: str
    created: float
    fields: dict[str, Any] = {}
