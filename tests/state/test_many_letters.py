"""Dead letters by the thousand: tracebacks once, pages, groups, and states of before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_rows import event_row, grow

from sgevents_core.state.failures import Failure
from sgevents_core.state.letters import LetterChoice
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import Writer
from sgevents_core.state.sqlite import schema
from sgevents_core.state.sqlite.database import DATABASE
from sgevents_core.state.steps import Step

FRAMES = (
    "Traceback (most recent call last):\n" + '  File "notify.py", line 8, in on_new\n    a()\n' * 9
)


def traceback(number: int) -> str:
    """A traceback whose last line differs from event to event."""
    return f"{FRAMES}ValueError: no shot {number}\n"


def failed(number: int, plugin: str = "notify", callback: str = "notify:on_new") -> Failure:
    """A callback that failed on an event for good."""
    error = f"ValueError: no shot {number}"
    return Failure(
        plugin, callback, number, number, 1, error, traceback(number), float(number), "dead-letter"
    )


def fill(state: Writer, failures: list[Failure]) -> None:
    """Write dead letters."""
    fence = state.take_lane("main")
    for failure in failures:
        state.record("main", fence, Step(failure=failure, dead=True))


def shared(folder: Path) -> list[tuple[str]]:
    """The tracebacks that are kept."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        return db.execute("SELECT text FROM tracebacks").fetchall()


def test_frames_are_kept_once_and_come_back_whole(disk_state: Writer, tmp_path: Path) -> None:
    """However many failures have them; the message is each failure's own."""
    state = disk_state
    fill(state, [failed(number) for number in range(1, 30)])
    assert shared(tmp_path) == [(FRAMES,)]
    assert [one.traceback for one in state.dead_letters()] == [traceback(n) for n in range(1, 30)]
    with closing(open_state(tmp_path).letters()) as letters:
        found = letters.get(7)
    assert found is not None
    assert found.failure == failed(7)


@pytest.mark.parametrize("text", ["", "one:on_new\none:on_change", "RuntimeError"])
def test_what_is_no_traceback_stays_as_it_is(state: Writer, text: str) -> None:
    """Whatever stands in the place of one."""
    failure = Failure("p", "c", 1, 1, 1, "E", text, 1.0, "dead-letter")
    fill(state, [failure])
    assert state.dead_letters() == [failure]


def old_state(folder: Path, count: int) -> None:
    """A state of the fourth schema with dead letters, each with its whole traceback."""
    with closing(sqlite3.connect(folder / DATABASE)) as db:
        scripts = "".join(script for _, script in schema.migrations()[:4])
        db.executescript(scripts + "PRAGMA user_version = 4;")
        db.executemany(
            "INSERT INTO failures (plugin, callback, seq, event_id, attempt, error, traceback, at,"
            " outcome, dead, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, x'7b7d')",
            [
                (f.plugin, f.callback, f.seq, f.event_id, f.attempt, f.error, f.traceback, f.at,
                 f.outcome)
                for f in map(failed, range(1, count + 1))
            ],
        )  # fmt: skip
        db.commit()


def test_letters_of_before_can_be_read_before_and_after(tmp_path: Path) -> None:
    """By a command before the upgrade, right after it, and when their tracebacks are shared."""
    old_state(tmp_path, 25)
    expected = [failed(number) for number in range(1, 26)]
    with closing(open_state(tmp_path).letters()) as letters:
        assert [one.failure for one in letters.find()] == expected
        assert len(list(letters.listed(LetterChoice(), letter_limit=10))) == 10
    with closing(open_state(tmp_path).reader()) as before:
        assert before.dead_letters() == expected
    with closing(open_state(tmp_path).writer()) as state:
        assert state.dead_letters() == expected
        assert shared(tmp_path) == []
        assert [state.upgrade_records(10) for _ in range(4)] == [10, 10, 5, 0]
        assert shared(tmp_path) == [(FRAMES,)]
        assert state.dead_letters() == expected


def test_traceback_that_nobody_has_any_more_goes(disk_state: Writer, tmp_path: Path) -> None:
    """When old failures are pruned, and no earlier."""
    state = disk_state
    grow(state, [event_row(number) for number in range(1, 4)])
    fence = state.take_lane("main")
    state.record("main", fence, Step(failure=failed(1)))
    assert shared(tmp_path) == [(FRAMES,)]
    state.prune(2**40, 3)
    assert shared(tmp_path) == []


def test_pages_go_on_behind_a_number(state: Writer, tmp_path: Path) -> None:
    """Each has so many, with neither a gap nor a letter twice."""
    fill(state, [failed(number) for number in range(1, 8)])
    with closing(open_state(tmp_path).letters()) as letters:
        pages = [
            [one.number for one in letters.listed(LetterChoice(), after, 3)]
            for after in (0, 3, 6, 7)
        ]
        assert pages == [[1, 2, 3], [4, 5, 6], [7], []]
        assert [letters.count(LetterChoice(), after) for after in (0, 3, 7)] == [7, 4, 0]


def test_letters_are_grouped_by_plugin_callback_and_error(state: Writer, tmp_path: Path) -> None:
    """Errors that differ in numbers are of one group, the largest comes first."""
    fill(state, [failed(n) for n in range(1, 5)])
    fill(state, [failed(9, callback="notify:on_change"), failed(10, plugin="other")])
    with closing(open_state(tmp_path).letters()) as letters:
        groups = letters.groups(LetterChoice())
        assert [(g.letters, g.plugin, g.callback, g.first) for g in groups] == [
            (4, "notify", "notify:on_new", 1),
            (1, "notify", "notify:on_change", 5),
            (1, "other", "notify:on_new", 6),
        ]
        assert {g.error for g in groups} == {"ValueError: no shot #"}
        assert (groups[0].since, groups[0].until) == (1.0, 4.0)


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (LetterChoice(plugin="notify"), [1, 2, 3]),
        (LetterChoice(callback="b:x"), [4]),
        (LetterChoice(event_id=2), [2]),
        (LetterChoice(error="no shot"), [1, 2, 3, 4]),
        (LetterChoice(error="no shot #"), [1, 2, 3, 4]),
        (LetterChoice(error="ValueError: no shot 12"), [3]),
        (LetterChoice(error="…Error: no … 12"), [3]),
        (LetterChoice(error="shot…no"), []),
        (LetterChoice(error="*"), []),
        (LetterChoice(error="[n]o"), []),
        (LetterChoice(plugin="notify", error="shot 2"), [2]),
    ],
)
def test_filters_choose_letters(
    state: Writer, tmp_path: Path, chosen: LetterChoice, numbers: list[int]
) -> None:
    """Each narrows; the text of an error means itself, but for `#` and `…`."""
    fill(state, [failed(1), failed(2), failed(12), failed(40, "b", "b:x")])
    with closing(open_state(tmp_path).letters()) as letters:
        assert [one.number for one in letters.listed(chosen)] == numbers
        assert letters.count(chosen) == len(numbers)
        assert sum(group.letters for group in letters.groups(chosen)) == len(numbers)


def test_counts_need_no_letters_in_memory(state: Writer) -> None:
    """What `status` shows of them is counted by the database."""
    fill(state, [failed(1), failed(2), failed(3, plugin="other")])
    assert state.dead_letter_counts() == {
        "notify": (2, "ValueError: no shot 2"),
        "other": (1, "ValueError: no shot 3"),
    }
