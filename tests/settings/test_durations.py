"""Durations: what is read, what is refused, and the way back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.errors import DurationError
from sgevents_core.settings import format_duration, parse_duration

MILLISECONDS = st.integers(0, 36_500 * 86_400_000)


@pytest.mark.parametrize(
    ("duration_text", "seconds"),
    [
        ("250ms", 0.25),
        ("1s", 1),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2h", 7200),
        ("1h30m", 5400),
        ("7d", 604_800),
        ("1d2h3m4s5ms", 93_784.005),
        ("0s", 0),
        ("90m", 5400),
    ],
)
def test_a_duration_is_read_as_seconds(duration_text: str, seconds: float) -> None:
    """Every unit counts, alone and after a longer one."""
    assert parse_duration(duration_text) == seconds


@pytest.mark.parametrize(
    ("duration_text", "reason"),
    [
        ("", "numbers with units"),
        ("5", "unit is missing"),
        ("1.5", "unit is missing"),
        ("-5s", "negative"),
        (" 5s", "spaces"),
        ("1h 30m", "spaces"),
        ("5 s", "spaces"),
        ("soon", "numbers with units"),
        ("5w", "numbers with units"),
        ("30m1h", "long to short"),
        ("1s1s", "long to short"),
        ("1s\n", "spaces"),
        ("٣s", "numbers with units"),
        ("36501d", "longest"),
        ("9" * 400 + "d", "longest"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason(duration_text: str, reason: str) -> None:
    """The error names what is wrong, and shows how a duration is written."""
    with pytest.raises(DurationError, match=reason) as caught:
        parse_duration(duration_text)
    assert "1h30m" in str(caught.value)
    assert caught.value.exit_code == 2


@given(MILLISECONDS)
def test_what_is_formatted_reads_back_the_same(milliseconds: int) -> None:
    """format and parse are each other's inverse, to the millisecond."""
    duration_text = format_duration(milliseconds / 1000)
    assert round(parse_duration(duration_text) * 1000) == milliseconds
    assert format_duration(parse_duration(duration_text)) == duration_text


@given(st.floats(0, 1e9))
def test_any_number_of_seconds_can_be_formatted(seconds: float) -> None:
    """Formatting rounds to the nearest millisecond and always gives a duration."""
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= 0.00051


@given(st.text("0123456789.dhms -", max_size=12))
def test_any_text_is_a_duration_or_refused(duration_text: str) -> None:
    """No text makes another error than the one for durations."""
    with contextlib.suppress(DurationError):
        assert parse_duration(duration_text) >= 0


def test_a_negative_time_is_shown_with_its_sign() -> None:
    """A clock that is behind can be shown."""
    assert format_duration(-90) == "-1m30s"
