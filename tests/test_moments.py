"""Moments as sites write them: one reader for feed, events, sandbox and what people type."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgevents_core import Event
from sgevents_core.errors import MomentError
from sgevents_core.moments import (
    api_timestamp,
    bounded_wait,
    moment_of,
    parse_written_moment,
    retry_after_seconds,
    seconds_of,
)
from sgevents_core.sandbox.timestamps import read_timestamp
from sgevents_core.settings.starts import parse_start

UTC = timezone.utc
NINE = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)
WRITTEN = [
    ("2026-11-01T09:30:00Z", NINE),
    ("2026-11-01 09:30:00 UTC", NINE),
    ("2026-11-01 09:30:00 utc", NINE),
    ("2026-11-01 09:30:00 GMT", NINE),
    ("2026-11-01 09:30:00Z", NINE),
    ("2026-11-01t09:30:00z", NINE),
    ("2026-11-01T09:30:00", NINE),
    ("2026-11-01 09:30:00", NINE),
    ("2026-11-01 09:30", NINE),
    ("2026-11-01T09:30Z", NINE),
    (" 2026-11-01T09:30:00Z\n", NINE),
    ("2026-11-01T09:30:00+00:00", NINE),
    ("2026-11-01T10:30:00+01:00", NINE),
    ("2026-11-01 10:30:00 +0100", NINE),
    ("2026-11-01 10:30:00+01", NINE),
    ("2026-11-01 04:00:00-05:30", NINE),
    ("2026-11-01 11:30:00 UTC+02:00", NINE),
    ("2026-11-01T09:30:00.5Z", NINE + timedelta(seconds=0.5)),
    ("2026-11-01T09:30:00,250Z", NINE + timedelta(seconds=0.25)),
    ("2026-11-01T09:30:00.123456789 UTC", NINE + timedelta(microseconds=123_456)),
    ("2026-11-01T24:00:00Z", datetime(2026, 11, 2, tzinfo=UTC)),
    ("2026-12-31T23:59:60Z", datetime(2027, 1, 1, tzinfo=UTC)),
    ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
    ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
]
NO_MOMENTS: list[object] = [
    *("", " ", "Z", "UTC", "now", "yesterday", "2026", "2026-11", "20261101", "1793525400"),
    *("2026-13-01T00:00:00Z", "2026-02-29", "2026-00-10", "0000-01-01", "12026-01-01T00:00:00Z"),
    *("2026-11-01T25:00:00Z", "2026-11-01T24:00:01Z", "2026-11-01T09:61:00Z"),
    *("2026-11-01T09:30:61Z", "2026-11-01T09:30:00+99:00", "2026-11-01T09:30:00 PST"),
    *("2026-11-01T09", "2026-11-01T09:30:00ZZ", "2026-11-01T09:30:00.Z", "2026-11-01X09:30:00Z"),
    *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "٢٠٢٦-11-01T09:30:00Z"),
    *("2026-11-01T09:30:00.1" + "0" * 100_000 + "Z", None, 12, 1.5, True, [], {}, b"2026-11-01"),
    date(2026, 11, 1),
]


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the host's own zone be nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("text", "moment"), WRITTEN)
def test_whatever_means_one_moment_is_read_alike_by_all(text: str, moment: datetime) -> None:
    """By the feed, which counts seconds, by an event, by the sandbox; without a zone it is UTC.

    The sandbox takes it from a client as a site does: not with a blank in it.
    """
    assert moment_of(text) == moment
    assert seconds_of(text) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert Event({"created_at": text}).created_at == moment
    assert read_timestamp(text) == (None if " " in text else api_timestamp(moment))


@pytest.mark.parametrize("value", NO_MOMENTS)
def test_what_is_no_moment_is_none_for_all(value: object) -> None:
    """And raises nothing, however odd or long."""
    assert moment_of(value) is None
    assert seconds_of(value) is None
    event = Event({"created_at": value})
    assert event.created_at is None
    assert event["created_at"] == value


@pytest.mark.usefixtures("tokyo")
def test_text_without_a_zone_is_utc_wherever_the_daemon_runs() -> None:
    """A naive datetime, which only a client makes, is local time; the event's own is local too."""
    assert seconds_of("2026-11-01 09:30:00") == int(NINE.timestamp())
    assert moment_of(datetime(2026, 11, 1, 18, 30)) == NINE
    created = Event({"created_at": "2026-11-01 09:30:00 UTC"}).created_at
    assert created is not None
    assert (created, created.utcoffset()) == (NINE, 9 * AN_HOUR)


def test_datetimes_are_taken_as_they_are() -> None:
    """An aware one is the same moment, before 1970 too, and fractions are cut off."""
    there = datetime(1969, 12, 31, 23, 59, 59, 900_000, tzinfo=UTC)
    assert moment_of(there) == there
    assert seconds_of(there) == -1
    assert seconds_of(datetime.max) is not None


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(2, 1, 1)))
def test_what_is_written_is_read_back(moment: datetime) -> None:
    """To the second, and texts sort as the moments do."""
    whole = moment.replace(microsecond=0)
    assert moment_of(api_timestamp(moment)) == whole
    later = whole + AN_HOUR if whole.year < 9999 else whole
    assert api_timestamp(whole) <= api_timestamp(later)


@given(st.text(alphabet="0123456789-+:.,TZ UTCGM", max_size=40))
def test_no_text_raises(text: str) -> None:
    """And what is read lies within the years there are."""
    seconds = seconds_of(text)
    assert seconds is None or abs(seconds) < 2**38


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01 09:30:00 UTC", NINE),
        ("2026-11-01T18:30", NINE),
        ("2026-11-01", datetime(2026, 10, 31, 15, tzinfo=UTC)),
    ],
)
def test_people_may_write_what_a_site_writes(text: str, moment: datetime) -> None:
    """Without a zone it is the host's own."""
    assert parse_start(text) == moment


@pytest.mark.parametrize("text", ["2026-13-01", "2026-11-01T09:30 PST", "soon"])
def test_people_are_told_what_is_no_moment(text: str) -> None:
    """With what to write instead."""
    with pytest.raises(MomentError, match="2026-01-31T12:00"):
        parse_start(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("3600", 3600.0),
        ("86400", 3600.0),
        ("inf", 3600.0),
        ("nan", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("Fri, 02 Jan 1970 00:00:00 GMT", 3600.0),
        ("soon", None),
        ("", None),
    ],
)
def test_how_long_an_answer_asks_to_wait(text: str, seconds: float | None) -> None:
    """`Retry-After` is seconds or a date: from none to an hour, and None where it is neither."""
    assert retry_after_seconds(text, current_time=10.0) == seconds


def test_waits_are_bounded() -> None:
    """From none to an hour."""
    waits = [bounded_wait(seconds) for seconds in (-1.0, 0.0, 7.5, 3600.0, 3601.0)]
    assert waits == [0.0, 0.0, 7.5, 3600.0, 3600.0]
    assert bounded_wait(float("nan")) is None


USUAL = st.tuples(
    st.text("0123456789W-_ ", min_size=4, max_size=4),
    *[st.text("0123456789 _-", min_size=2, max_size=2)] * 5,
).map(lambda parts: "{}-{}-{}T{}:{}:{}Z".format(*parts))


@given(USUAL | st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")))
def test_usual_form_is_read_as_any_form_is(text: str) -> None:
    """The quick way for the form of nearly every row comes to the same as the slow one."""
    slowly = parse_written_moment(text)
    assert moment_of(text) == slowly


def test_usual_form_of_a_moment_no_clock_shows() -> None:
    """24:00 and a leap second have the usual form, and belong to the following minute or day."""
    assert moment_of("2026-10-31T24:00:00Z") == datetime(2026, 11, 1, tzinfo=UTC)
    assert moment_of("2026-10-31T23:59:60Z") == datetime(2026, 11, 1, tzinfo=UTC)
