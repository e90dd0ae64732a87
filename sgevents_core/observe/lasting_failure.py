"""A lasting failure: its last error, and when it began."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LastingFailure:
    """A failure that repeats.

    Args:
        error: The error of the last attempt.
        since: When the failures began, in seconds since 1970.
        refused: Whether the site refused the script's key.
        fix: What to do about it; empty if that depends on who asks.
    """

    error: str
    since: float
    refused: bool = False
    fix: str = ""
