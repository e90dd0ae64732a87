"""Figures of calls and of the feed per minute and per hour: how many, how long, how far behind.

Durations are counted in buckets, four for each doubling, so that figures of any two spans of time
can be added, and a quantile is right to a tenth.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Literal, NamedTuple, TypeAlias

from sgevents_core.state.keys import CallKey

Span: TypeAlias = Literal[60, 3600]
"""The seconds that one figure covers."""
MINUTE: Final = 60
HOUR: Final = 3600
KEPT_FOR: Final[Mapping[Span, float]] = {60: 26 * 3600.0, 3600: 31 * 86_400.0}
"""The seconds for which figures of each span are kept."""
_MOST_MINUTES_UNCOLLECTED: Final = 60
_BITS_BELOW_BUCKET: Final = 21
"""A bucket is the upper 11 bits of a float of 32 bits: its exponent and 2 bits of its fraction."""
_KEPT_BITS: Final = bytes(value & 0b1110_0000 for value in range(256))


class CallFigure(NamedTuple):
    """The calls of one callback in one span of time.

    Args:
        starts_at: When the span begins, in seconds since 1970.
        plugin: The plugin.
        callback: The callback's name.
        calls: The number of calls that returned or raised.
        failures: The number of those that raised.
        buckets: The number of calls by duration; see `bucket_of`.
    """

    starts_at: int
    plugin: str
    callback: str
    calls: int
    failures: int
    buckets: Mapping[int, int]

    def plus(self, other: CallFigure) -> CallFigure:
        """Return the figure of both spans together, which begins where this one does."""
        return self._replace(
            calls=self.calls + other.calls,
            failures=self.failures + other.failures,
            buckets=Counter(self.buckets) + Counter(other.buckets),
        )

    @property
    def mean(self) -> float:
        """The mean duration, in seconds; 0 without calls."""
        total = sum(_middle(bucket) * count for bucket, count in self.buckets.items())
        return total / self.calls if self.calls else 0.0

    def quantile(self, fraction: float) -> float:
        """Return the duration that a fraction of the calls did not exceed, in seconds."""
        calls_below = fraction * sum(self.buckets.values())
        for bucket, count in sorted(self.buckets.items()):
            if count >= calls_below:
                low, high = _bounds(bucket)
                return low + (high - low) * calls_below / count
            calls_below -= count
        return 0.0


class FeedFigure(NamedTuple):
    """The feed and the lanes in one span of time.

    Args:
        starts_at: When the span begins, in seconds since 1970.
        events: The number of events appended to the journal.
        behind: The most events that a lane had before it, at the end of a minute.
        lag: The most seconds by which the work was behind, at the end of a minute: the age of the
            oldest event that a lane has not finished, or for how long the site had not answered.
    """

    starts_at: int
    events: int
    behind: int
    lag: float

    def plus(self, other: FeedFigure) -> FeedFigure:
        """Return the figure of both spans together, which begins where this one does."""
        return self._replace(
            events=self.events + other.events,
            behind=max(self.behind, other.behind),
            lag=max(self.lag, other.lag),
        )


class MinuteFigures(NamedTuple):
    """The figures of some minutes that are over."""

    calls: tuple[CallFigure, ...] = ()
    feed: tuple[FeedFigure, ...] = ()


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration: durations in one bucket differ by less than a quarter."""
    (bits,) = struct.unpack("<I", struct.pack("<f", max(seconds, 0.0)))
    return int(bits) >> _BITS_BELOW_BUCKET


def added_up(figures: Iterable[CallFigure]) -> list[CallFigure]:
    """Return one figure for each callback, in the order of their names."""
    sums: dict[CallKey, CallFigure] = {}
    for figure in figures:
        key = CallKey(figure.plugin, figure.callback)
        sums[key] = sums[key].plus(figure) if key in sums else figure
    return [sums[key] for key in sorted(sums)]


@dataclass(slots=True)
class _CountedCalls:
    """The calls of one callback in one minute."""

    buckets: Counter[int] = field(default_factory=Counter)
    failures: int = 0


class CallCounts:
    """Counts the calls of one lane per minute until somebody collects them; for any thread.

    Args:
        keys: The lane's callbacks, in the order in which records name them.
        record_size: The bytes of one record; see `add`.
    """

    def __init__(self, keys: Iterable[CallKey], record_size: int) -> None:
        self._keys = tuple(keys)
        self._record_size = record_size
        self._lock = Lock()
        self._minutes: dict[int, dict[CallKey, _CountedCalls]] = {}

    def add(self, records: bytes, failed_flags: bytes, current_time: float) -> None:
        """Count calls, many at once: this costs some 0.1 µs for each.

        Args:
            records: Records of calls, which end in the duration, a float of 32 bits, and the
                callback's index, an integer of 32 bits, both little-endian; only the lower half of
                the index counts.
            failed_flags: A byte for each call, not 0 if it failed.
            current_time: Now, in seconds since 1970: calls are counted in this minute.
        """
        counts = Counter(_bucket_and_index(records, self._record_size))
        minute = int(current_time) // MINUTE * MINUTE
        with self._lock:
            by_key = self._minutes.setdefault(minute, {})
            for bucket_and_index, count in counts.items():
                index, bits = bucket_and_index >> 16, bucket_and_index & 0xFFFF
                if index < len(self._keys):
                    counted = by_key.setdefault(self._keys[index], _CountedCalls())
                    counted.buckets[bits >> _BITS_BELOW_BUCKET - 16] += count
            for index in _failed_indexes(records, failed_flags, self._record_size):
                if index < len(self._keys):
                    by_key.setdefault(self._keys[index], _CountedCalls()).failures += 1
            while len(self._minutes) > _MOST_MINUTES_UNCOLLECTED:
                del self._minutes[min(self._minutes)]

    def collect(self, before: float) -> list[CallFigure]:
        """Return the figures of the minutes that began before a time, and forget them."""
        with self._lock:
            minutes = {minute for minute in self._minutes if minute < before}
            counted_minutes = [(minute, self._minutes.pop(minute)) for minute in sorted(minutes)]
        return [
            CallFigure(
                minute,
                key.plugin,
                key.callback,
                counted.buckets.total(),
                counted.failures,
                dict(counted.buckets),
            )
            for minute, by_key in counted_minutes
            for key, counted in by_key.items()
        ]

    def take_over(self, other: CallCounts) -> None:
        """Take over what nobody has collected from another lane's counts."""
        with other._lock, self._lock:
            for minute, by_key in other._minutes.items():
                own = self._minutes.setdefault(minute, {})
                for key, counted in by_key.items():
                    mine = own.setdefault(key, _CountedCalls())
                    mine.buckets += counted.buckets
                    mine.failures += counted.failures
            other._minutes.clear()


def _bucket_and_index(records: bytes, record_size: int) -> list[int]:
    """Return for each record the upper bits of its duration, and above them its index."""
    packed = bytearray(4 * (len(records) // record_size))
    packed[0::4] = records[record_size - 6 :: record_size].translate(_KEPT_BITS)
    packed[1::4] = records[record_size - 5 :: record_size]
    packed[2::4] = records[record_size - 4 :: record_size]
    packed[3::4] = records[record_size - 3 :: record_size]
    return list(struct.unpack(f"<{len(packed) // 4}I", packed))


def _failed_indexes(records: bytes, failed_flags: bytes, record_size: int) -> Iterable[int]:
    """Yield the callback's index of each failed call; nearly always there are none."""
    if failed_flags.count(0) == len(failed_flags):
        return
    for number, is_failed in enumerate(failed_flags):
        if is_failed:
            place = (number + 1) * record_size - 4
            yield int.from_bytes(records[place : place + 2], "little")


def _bounds(bucket: int) -> tuple[float, float]:
    """Return the lowest duration in a bucket and the lowest in the next one, in seconds."""
    low, high = (
        struct.unpack("<f", struct.pack("<I", number << _BITS_BELOW_BUCKET))[0]
        for number in (bucket, bucket + 1)
    )
    return low, high


def _middle(bucket: int) -> float:
    low, high = _bounds(bucket)
    return (low + high) / 2
