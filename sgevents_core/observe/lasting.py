"""Trouble that lasts: what goes wrong again and again, and since when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lasting:
    """Something that goes wrong again and again.

    Args:
        error: What, at the last try.
        since: When it began, in seconds since 1970.
        refused: Whether the site refused the script's key.
    """

    error: str
    since: float
    refused: bool = False
