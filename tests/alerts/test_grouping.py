"""When something is told, told again, and told to be over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sgevents_core.alerts.conditions import Condition
from sgevents_core.alerts.grouping import MOST_LISTED, Announced, Lasting, Message, next_message

EVERY = 3600.0
PAUSED = Condition("paused", "status", "", "Plugin status is paused", "mend it")
LETTERS = Condition("dead_letter", "status", "on_new E", "on_new failed", "retry", times=1)
CRASH = Condition("crash", "", "17", "The daemon ended", "see its log", ends=False)


class Told:
    """A recipient that gets every message at once."""

    def __init__(self) -> None:
        self.announced: dict[str, Announced] = {}
        self.messages: list[Message] = []

    def look(self, now: float, *conditions: Condition, is_whole: bool = True) -> bool:
        """Tell what is wrong at a moment; return whether there was a message."""
        message = next_message(
            "studio",
            conditions,
            self.announced,
            current_time=now,
            repeat_interval=EVERY,
            is_whole=is_whole,
        )
        if message is None:
            return False
        self.messages.append(message)
        self.announced = message.announced
        return True


def test_a_thousand_equal_failures_are_one_message_and_one_when_they_are_over() -> None:
    """The count grows, and nobody is told again; once they are dealt with, one message says so."""
    told = Told()
    told_at = [n for n in range(1000) if told.look(n, LETTERS._replace(times=n + 1))]
    assert told_at == [0]
    assert told.look(1001.0)
    assert [message.title for message in told.messages] == [
        "sgevents studio: dead letter",
        "sgevents studio: 1 problem is over",
    ]
    assert told.messages[-1].body == "Over: on_new failed"
    assert not told.look(1002.0)


def test_what_lasts_is_told_again_after_a_while() -> None:
    """A message says that it still lasts."""
    told = Told()
    times = [n for n in range(0, 10_000, 100) if told.look(n, PAUSED)]
    assert times == [0, 3600, 7200]
    assert told.messages[1].body.startswith("Still: Plugin status is paused\nTo do: mend it")


def test_what_comes_and_goes_is_told_once_in_a_while() -> None:
    """A plugin that is held and released every few seconds does not fill a mailbox."""
    told = Told()
    times = [n for n in range(3600) if told.look(n, *([PAUSED] if n % 10 < 5 else []))]
    assert times == [0, 5]
    assert told.look(3600.0, PAUSED)
    assert told.messages[-1].body.startswith("Plugin status is paused")


def test_what_cannot_be_seen_is_not_over() -> None:
    """While the state cannot be read, nothing is known of what was wrong before."""
    told = Told()
    assert told.look(0.0, PAUSED)
    assert not told.look(9000.0, is_whole=False)
    assert told.look(9001.0, LETTERS, is_whole=False)
    assert told.look(9002.0, LETTERS)
    assert told.messages[-1].body == "Over: Plugin status is paused"


def test_what_has_no_end_is_told_once() -> None:
    """A crash is over when it is told; more of them are told after a while."""
    told = Told()
    assert [n for n in range(0, 20_000, 100) if told.look(n, CRASH)] == [0]
    assert not told.look(20_001.0)
    assert told.look(20_002.0, CRASH._replace(subject="18"))
    deaths = CRASH._replace(subject="lane a")
    assert told.look(20_003.0, deaths)
    assert not told.look(20_004.0, deaths._replace(times=5))
    assert told.look(30_000.0, deaths._replace(times=5))


def test_one_message_has_all_that_changed() -> None:
    """A site that goes down with a hundred plugins is one message, of a bounded length."""
    told = Told()
    plugins = [PAUSED._replace(plugin=f"p{n}", text=f"p{n} is paused") for n in range(100)]
    assert told.look(0.0, LETTERS, *plugins)
    (message,) = told.messages
    assert message.title == "sgevents studio: dead letter, paused"
    assert message.body.count("To do:") == MOST_LISTED
    assert message.body.endswith("And 81 more: see sgevents status")
    assert told.look(1.0)
    assert told.messages[-1].title == "sgevents studio: 101 problems are over"
    assert told.messages[-1].body.endswith("And 81 more are over")


def test_what_may_pass_is_told_if_it_lasts() -> None:
    """A hold of a few seconds is nobody's business; one that comes anew starts anew."""
    held = Condition("held", "status", "", "waits", "see status", may_pass=True)
    lasting = Lasting(60.0)
    assert lasting.filtered([held, PAUSED], 0.0) == [PAUSED]
    assert lasting.filtered([held], 59.0) == []
    assert lasting.filtered([held], 60.0) == [held]
    assert lasting.filtered([], 61.0) == []
    assert lasting.filtered([held], 62.0) == []
    assert lasting.filtered([held], 1.0) == [], "the clock was set back"


@given(st.lists(st.sets(st.integers(0, 5)), max_size=60), st.floats(1, 2000))
def test_recipients_are_never_left_with_what_is_not_so(
    looks: list[set[int]], between: float
) -> None:
    """In whatever order things go wrong, all that was told is over in the end, and told to be."""
    told, now = Told(), 0.0
    for wrong in looks:
        told.look(now, *(PAUSED._replace(plugin=str(n)) for n in sorted(wrong)))
        now += between
    told.look(now + 2 * EVERY)
    assert all(known.ended_at for known in told.announced.values())
    most = 2 * 6 * (now / EVERY + 2)
    assert len(told.messages) <= most
