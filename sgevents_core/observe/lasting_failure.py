"""Lasting trouble: what fails again and again, and since when."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LastingFailure:
    """Something that fails again and again.

    Args:
        error: The error of the last attempt.
        since: When it began, in seconds since 1970.
        refused: Whether the site refused the script's key.
    """

    error: str
    since: float
    refused: bool = False
