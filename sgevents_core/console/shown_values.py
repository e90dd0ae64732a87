"""Values as people read them on pages: times, durations, counts, and texts of any length."""

from __future__ import annotations

import re
from datetime import datetime, timezone, tzinfo
from typing import Any, Final

from markupsafe import Markup, escape

from sgevents_core.moments import moment_of
from sgevents_core.printable import lines, one_line

LONGEST_VALUE: Final = 20_000
"""The most characters that a template prints of one value."""
NOTHING: Final = "\u2013"
"""Where there is no value."""
SHORT_TEXT: Final = 400
"""The most characters of a text before a reader asks for more."""
_NAME_PARTS: Final = re.compile(r"[^@:._/\s-]{1,16}[@:._/\s-]*|[@:._/\s-]+")
"""The parts of a name between which a line may end: at its separators, and where it has none."""
_TIME_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))


def printed(value: Any) -> Any:
    """Return a value as a template prints it: every character visible, and never endless.

    Args:
        value: Any value; markup is unchanged.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return "" if value is None else value
    return lines(shortened(value, LONGEST_VALUE))


def shortened(text: str, limit: int = SHORT_TEXT) -> str:
    """Return the beginning of a text, with the number of characters left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def in_one_line(value: object, limit: int = SHORT_TEXT) -> str:
    """Return a value as one short line."""
    return one_line(shortened(str(value), limit))


def breakable(value: object, limit: int = SHORT_TEXT) -> Markup:
    """Return a name as one short line, which narrow columns break at its separators."""
    name_parts = _NAME_PARTS.findall(in_one_line(value, limit))
    return Markup('<span class="parts">{}</span>').format(Markup("<wbr>").join(name_parts))


def duration(seconds: float | None) -> str:
    """Return a duration in its largest sensible unit: `3 min`."""
    if seconds is None:
        return NOTHING
    for unit_seconds, unit_name in _TIME_UNITS:
        if seconds >= 2 * unit_seconds:
            return f"{seconds / unit_seconds:.0f}\u00a0{unit_name}"
    if seconds >= 1:
        return f"{seconds:.0f}\u00a0s"
    milliseconds = seconds * 1000
    decimal_places = 0 if milliseconds >= 10 or not milliseconds else 1 if milliseconds >= 1 else 2
    return f"{milliseconds:.{decimal_places}f}\u00a0ms"


def number(shown_number: float | None) -> str:
    """Return a number with its thousands set apart by thin spaces."""
    return NOTHING if shown_number is None else f"{shown_number:,}".replace(",", "\u202f")


def counted(count: int, singular: str) -> str:
    """Return a count with its noun, in the plural with an `s`: `1 event`, `2 events`."""
    return f"{number(count)} {singular}" if count == 1 else f"{number(count)} {singular}s"


class Clock:
    """Times as a page shows them: the zone of the site's host, and the reader's by a script.

    Args:
        zone: The zone of the site's host; None for the local one.
    """

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._studio_zone = zone

    def element(self, moment: str | datetime | None, form: str = "full") -> Markup:
        """Return the `<time>` element of a moment.

        Args:
            moment: The moment, ISO 8601 if it is a text.
            form: `full`, `clock` for the time of day, or `ago` for how long ago.
        """
        if not moment:
            return escape(NOTHING)
        utc_moment = moment_of(moment)
        if utc_moment is None:
            return escape(moment)
        local_moment = utc_moment.astimezone(self._studio_zone)
        iso_text = utc_moment.astimezone(timezone.utc).isoformat()
        time_pattern = "%H:%M:%S" if form == "clock" else "%Y-%m-%d %H:%M:%S"
        zone_text = local_moment.strftime("%Z")
        return Markup('<time datetime="{}" data-form="{}" data-site="{} {}">{}</time>').format(
            iso_text,
            form,
            local_moment.strftime("%Y-%m-%d %H:%M:%S"),
            zone_text,
            local_moment.strftime(time_pattern),
        )


def long_text(text: str, limit: int = SHORT_TEXT) -> Markup:
    """Return a text whose end a reader can open."""
    shown_beginning = lines(text[:limit])
    if len(text) <= limit:
        return Markup('<span class="foreign">{}</span>').format(shown_beginning)
    hidden_rest = lines(shortened(text[limit:], LONGEST_VALUE))
    return Markup(
        '<details class="long"><summary><span class="foreign">{}</span>'
        '<span class="more">… {} more characters</span></summary>'
        '<span class="foreign">{}</span></details>'
    ).format(shown_beginning, number(len(text) - limit), escape(hidden_rest))
