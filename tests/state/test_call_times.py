"""When calls were made and how long they took: noted in memory, written once a second, bounded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from observed_calls import SeenCall

from sgevents_core.state import call_times
from sgevents_core.state.call_times import CallTimes, call_times_paths, calls_for_event
from sgevents_core.state.keys import CallKey

NAMES = [CallKey("alpha", "alpha:one"), CallKey("beta", "beta:one")]


def noted(folder: Path, *calls: tuple[int, int, float], names: Sequence[CallKey] = NAMES) -> None:
    """Let a lane note calls, each `(seq, place, seconds)`, and end."""
    times = CallTimes(folder, "default", names)
    for seq, place, seconds in calls:
        note(times, seq, place, seconds)
    times.write(now=True)


def note(times: CallTimes, seq: int, place: int = 0, seconds: float = 0.0) -> None:
    """Let a call end that began so many seconds ago."""
    call = SeenCall(seq=seq, number_in_lane=place)
    times.ended(call, time.perf_counter() - seconds, seconds, None)


def told(folder: Path, seq: int) -> list[tuple[CallKey, float]]:
    """The calls for an event: callback and seconds."""
    return [(one.key, round(one.duration, 2)) for one in calls_for_event(folder, "default", seq)]


def test_calls_of_an_event_are_told_in_order(tmp_path: Path) -> None:
    """Each with its callback, its time of day and its duration; others are left out."""
    before = time.time()
    noted(tmp_path, (7, 0, 0.25), (7, 1, 0.5), (8, 0, 1.0))
    first, second = sorted(calls_for_event(tmp_path, "default", 7), key=lambda one: one.key)
    assert (first.key, round(first.duration, 2)) == (NAMES[0], 0.25)
    assert (second.key, round(second.duration, 2)) == (NAMES[1], 0.5)
    assert before - 1 < first.called_at < time.time()
    assert told(tmp_path, 9) == []


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    """In the same file, as long as the callbacks are the same."""
    noted(tmp_path, (7, 0, 1.0))
    noted(tmp_path, (7, 0, 2.0))
    assert [seconds for _, seconds in told(tmp_path, 7)] == [2.0, 1.0]
    assert not call_times_paths(tmp_path, "default")[1].exists()


def test_other_callbacks_begin_another_file(tmp_path: Path) -> None:
    """What a place in the list of names means is never taken from another list."""
    noted(tmp_path, (7, 0, 1.0))
    noted(tmp_path, (7, 0, 2.0), names=[CallKey("gamma", "gamma:one")])
    assert sorted(told(tmp_path, 7)) == [(NAMES[0], 1.0), (CallKey("gamma", "gamma:one"), 2.0)]


def test_the_last_calls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files take turns, so the disk is not filled and the youngest are there."""
    monkeypatch.setattr(call_times, "MOST_CALLS_KEPT", 10)
    monkeypatch.setattr(call_times, "WRITE_INTERVAL", 0.0)
    times = CallTimes(tmp_path, "default", NAMES)
    for seq in range(1, 101):
        note(times, seq)
        times.write()
    kept = [seq for seq in range(1, 101) if told(tmp_path, seq)]
    assert kept == list(range(kept[0], 101))
    assert 10 <= len(kept) <= 25


def test_a_file_cut_off_is_left_alone(tmp_path: Path) -> None:
    """A full disk or a kill may leave half a call; what is whole is read, what follows is right."""
    noted(tmp_path, (7, 0, 1.0), (8, 0, 1.0))
    path, _ = call_times_paths(tmp_path, "default")
    path.write_bytes(path.read_bytes()[:-5])
    assert told(tmp_path, 7)
    assert not told(tmp_path, 8)
    noted(tmp_path, (9, 1, 2.0))
    assert told(tmp_path, 7) == [(NAMES[0], 1.0)]
    assert told(tmp_path, 9) == [(NAMES[1], 2.0)]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\n\xff", b'["one"]\n' + b"\xff" * 24])
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    """It is for people: what cannot be read is no error."""
    call_times_paths(tmp_path, "default")[0].write_bytes(content)
    assert told(tmp_path, 7) == []
    noted(tmp_path, (7, 0, 1.0))
    assert told(tmp_path, 7) == [(NAMES[0], 1.0)]


def test_what_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    """Calls go on without it."""
    call_times_paths(tmp_path, "default")[0].mkdir()
    (call_times_paths(tmp_path, "default")[1] / "in-the-way").mkdir(parents=True)
    noted(tmp_path, (7, 0, 1.0))
    assert told(tmp_path, 7) == []


def test_it_is_written_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call costs no write."""
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    times = CallTimes(tmp_path, "default", NAMES)
    note(times, 7)
    times.write()
    assert not told(tmp_path, 7)
    now += 1.5
    times.write()
    assert told(tmp_path, 7)
