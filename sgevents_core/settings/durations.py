"""Durations as people write them, `"250ms"` or `"1h30m"`, to seconds and back."""

from __future__ import annotations

import itertools
import re
from typing import Final

from sgevents_core.errors import DurationError

_UNIT_MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_UNIT_ORDER: Final = tuple(_UNIT_MILLISECONDS)
_PART_PATTERN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_LONGEST_SECONDS: Final = 36_500 * 86_400.0


def parse_duration(duration_text: str) -> float:
    """Return the seconds that `duration_text` stands for: `"250ms"`, `"1s"`, `"5m"`, `"1h30m"`,
    `"7d"`.

    Units are d, h, m, s and ms, the longest first and each at most once.

    Raises:
        DurationError: `duration_text` is not a duration, is negative, or is longer than 100 years.
    """
    unit_parts = _PART_PATTERN.findall(duration_text)
    if (
        not unit_parts
        or "".join(unit_count + unit_name for unit_count, unit_name in unit_parts) != duration_text
    ):
        raise DurationError(text=duration_text, reason=_refusal_reason(duration_text))
    positions = [_UNIT_ORDER.index(unit_name) for _, unit_name in unit_parts]
    if any(next_position <= position for position, next_position in itertools.pairwise(positions)):
        raise DurationError(text=duration_text, reason="units go from long to short, each once")
    seconds = sum(float(count) * _UNIT_MILLISECONDS[name] for count, name in unit_parts) / 1000
    if seconds > _LONGEST_SECONDS:
        raise DurationError(text=duration_text, reason="the longest duration is 36500d")
    return seconds


def format_duration(seconds: float) -> str:
    """Return `seconds` as `parse_duration` reads them, rounded to milliseconds: `"1h30m"`."""
    remaining_ms = round(abs(seconds) * 1000)
    if not remaining_ms:
        return "0s"
    unit_parts = []
    for unit_name, unit_ms in _UNIT_MILLISECONDS.items():
        unit_count, remaining_ms = divmod(remaining_ms, unit_ms)
        if unit_count:
            unit_parts.append(f"{unit_count}{unit_name}")
    return ("-" if seconds < 0 else "") + "".join(unit_parts)


def _refusal_reason(duration_text: str) -> str:
    if duration_text.strip().startswith("-"):
        return "a duration cannot be negative"
    if re.fullmatch(r"\s*[0-9.]+\s*", duration_text):
        return "the unit is missing"
    if duration_text != duration_text.strip() or " " in duration_text:
        return "leave out the spaces"
    return "a duration is numbers with units"
