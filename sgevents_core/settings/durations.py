"""Durations as people write them, `"250ms"` or `"1h30m"`, to seconds and back."""

from __future__ import annotations

import itertools
import re
from typing import Final

from sgevents_core.errors import DurationError

_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_UNITS: Final = tuple(_MILLISECONDS)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_LONGEST: Final = 36_500 * 86_400.0


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for: `"250ms"`, `"1s"`, `"5m"`, `"1h30m"`, `"7d"`.

    Units are d, h, m, s and ms, the longest first and each at most once.

    Raises:
        DurationError: `text` is not a duration, is negative, or is longer than 100 years.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DurationError(text=text, reason=_why_not(text))
    places = [_UNITS.index(unit) for _, unit in parts]
    if any(after <= before for before, after in itertools.pairwise(places)):
        raise DurationError(text=text, reason="units go from long to short, each once")
    seconds = sum(float(number) * _MILLISECONDS[unit] for number, unit in parts) / 1000
    if seconds > _LONGEST:
        raise DurationError(text=text, reason="the longest duration is 36500d")
    return seconds


def format_duration(seconds: float) -> str:
    """Return `seconds` as `parse_duration` reads them, rounded to milliseconds: `"1h30m"`."""
    left = round(abs(seconds) * 1000)
    if not left:
        return "0s"
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + "".join(parts)


def _why_not(text: str) -> str:
    if text.strip().startswith("-"):
        return "a duration cannot be negative"
    if re.fullmatch(r"\s*[0-9.]+\s*", text):
        return "the unit is missing"
    if text != text.strip() or " " in text:
        return "leave out the spaces"
    return "a duration is numbers with units"
