"""Dead letters retried and dismissed: one callback, no cursor, its store with the record."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from lane_house import House, only, raising
from request_desk import asking, letter, letters, old_event
from waiting import wait_until

from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.state.opening import open_state
from sgevents_core.state.sqlite.database import DATABASE


class Door:
    """A callback that raises until it is opened, and keeps what it got in the store."""

    def __init__(self) -> None:
        self.open = False
        self.keys: list[str] = []
        self.__name__ = "door"

    def __call__(self, event: Event, ctx: Any) -> None:
        """Handle an event, or raise."""
        self.keys.append(ctx.key)
        ctx.store["got"] = [*ctx.store.get("got", []), event.id]
        if not self.open:
            raise ValueError(f"closed to {event.id}")


@pytest.fixture
def door() -> Door:
    """A door that is closed."""
    return Door()


@pytest.fixture
def failed(house: House, door: Door) -> House:
    """A house in which `alpha.door` has failed on events 1 and 2, between two others."""
    house.plugin("alpha", "before", door, "behind")
    house.plugin("beta", "one")
    house.run()
    house.events(1, 2, 3)
    house.run()
    house.calls.clear()
    return house


def test_retry_calls_that_callback_only(failed: House, door: Door) -> None:
    """Neither the plugin's other callbacks nor other plugins are called; the letter is settled."""
    door.open = True
    with asking(failed) as person:
        answer = person.ask("retry", "alpha", letter=1)
    assert answer.outcome == "done"
    assert failed.calls == ["1 alpha.door#2"]
    assert [one.number for one in letters(failed)] == [2, 3]
    assert (letter(failed, 1).dead, letter(failed, 1).failure.outcome) == (False, "retried")


def test_retry_commits_the_store_and_moves_no_cursor(failed: House, door: Door) -> None:
    """What the callback kept is there, and the plugin stands where it stood."""
    before = failed.records()["alpha"]
    door.open = True
    with asking(failed) as person:
        person.ask("retry", "alpha", letter=2)
        assert failed.state.store("alpha") == {"got": [2]}
        failed.events(4)
        failed.settle()
    assert failed.state.store("alpha") == {"got": [2, 4]}
    after = failed.records()["alpha"]
    assert (after.cursor, after.apart) == (before.cursor, before.apart)


def test_retry_has_the_key_of_the_first_call(failed: House, door: Door) -> None:
    """Who must not act twice sees that it is the same call."""
    door.open = True
    first = door.keys[0]
    with asking(failed) as person:
        person.ask("retry", "alpha", letter=1)
    assert door.keys[-1] == first
    assert first.endswith(":1:1:alpha:alpha:door")


def test_retry_that_fails_updates_the_letter(failed: House) -> None:
    """It stays one letter, with the new error and one attempt more; the store is as it was."""
    with asking(failed) as person:
        answer = person.ask("retry", "alpha", letter=1)
    assert answer.outcome == "failed"
    assert "closed to 1" in answer.text
    found = letters(failed)
    assert [one.number for one in found] == [1, 2, 3]
    assert found[0].failure.attempt == 2
    assert "closed to 1" in found[0].failure.traceback
    assert failed.state.store("alpha") == {}
    assert failed.records()["alpha"].failures == 3


def test_retry_does_not_wait_for_what_it_asks(house: House) -> None:
    """A callback that asks to be called later has failed once more: somebody asked for it now."""
    house.plugin("alpha", raising(Retry("later", after=3600)), max_attempts=1)
    with asking(house) as person:
        house.events(1)
        wait_until(lambda: letters(house))
        answer = person.ask("retry", "alpha", letter=1)
    assert answer.outcome == "failed"
    assert house.records()["alpha"].state == "active"


def test_retry_of_a_paused_plugin_works(failed: House, door: Door) -> None:
    """A pause holds back events, not what somebody asks for."""
    door.open = True
    with asking(failed) as person:
        person.ask("pause", "alpha")
        assert person.ask("retry", "alpha", letter=1).outcome == "done"
        assert failed.records()["alpha"].state == "paused"


def test_settled_letter_cannot_be_retried(failed: House, door: Door) -> None:
    """Retried twice, or retried after it was dismissed: refused, and nothing is called."""
    door.open = True
    with asking(failed) as person:
        person.ask("retry", "alpha", letter=1)
        person.ask("dismiss", "alpha", letter=2)
        failed.calls.clear()
        for number in (1, 2, 99):
            assert person.ask("retry", "alpha", letter=number).outcome == "refused"
            assert person.ask("dismiss", "alpha", letter=number).outcome == "refused"
    assert failed.calls == []


def test_dismissed_letter_is_gone_and_not_called(failed: House) -> None:
    """It leaves the list, and what was known of it stays for the record."""
    with asking(failed) as person:
        assert person.ask("dismiss", "alpha", letter=2).text == "dead letter 2 dismissed"
    assert [one.number for one in letters(failed)] == [1, 3]
    assert letter(failed, 2).failure.outcome == "dismissed"
    assert "closed to 2" in letter(failed, 2).failure.error
    assert failed.calls == []


def test_callback_that_is_no_more_is_refused(failed: House) -> None:
    """An upgrade may have renamed it; the answer says so."""
    failed.plugin("alpha", "before", "behind")
    with asking(failed) as person:
        answer = person.ask("retry", "alpha", letter=1)
    assert answer.outcome == "refused"
    assert "alpha:door" in answer.text


def test_plugin_that_is_not_loaded_is_refused(failed: House) -> None:
    """Nothing runs that nobody enabled."""
    failed.plugin("alpha", "before", enabled=False)
    with asking(failed) as person:
        assert person.ask("retry", "alpha", letter=1).outcome == "refused"
        assert person.ask("dismiss", "alpha", letter=1).outcome == "done"


def test_call_is_noted_before_it_is_made(house: House) -> None:
    """The process may die in it, so what has begun is on the disk first."""
    begun: list[int] = []

    def looks(event: Event, ctx: Any) -> None:
        with closing(open_state(house.folder).requests()) as requests:
            begun.extend(request.begun for request in requests.waiting())
        raise ValueError("no")

    house.plugin("alpha", looks)
    house.run()
    with asking(house) as person:
        house.events(1)
        house.settle()
        person.ask("retry", "alpha", letter=1)
        person.ask("replay", "alpha", [old_event(7), old_event(8)])
    assert begun == [1, 1, 1]


def test_retry_in_which_the_process_died_is_made_twice_at_most(failed: House, door: Door) -> None:
    """Begun twice and never finished: it is not begun a third time, and the letter says why."""
    door.open = True
    with closing(open_state(failed.folder).requests()) as requests:
        number = requests.ask("retry", "alpha", {"letter": 1}, "anna")
        requests.begin(number)
    with asking(failed) as person:  # as after the first death
        person.poll()
        assert person.answer(number).outcome == "done"
    assert failed.calls == ["1 alpha.door#3"]
    with closing(open_state(failed.folder).requests()) as requests:
        number = requests.ask("retry", "alpha", {"letter": 2}, "anna")
        requests.begin(number)
        requests.begin(number)
    with asking(failed) as person:
        person.poll()
        assert person.answer(number).outcome == "failed"
    assert only(failed.calls, "alpha") == ["1 alpha.door#3"]
    assert "the process died 2 times" in letter(failed, 2).failure.error
    assert letter(failed, 2).dead


@pytest.mark.disk
def test_letter_whose_event_is_damaged_is_not_called(failed: House, door: Door) -> None:
    """The callback would be handed what nobody has set; the answer says what to do instead."""
    with closing(sqlite3.connect(failed.folder / DATABASE, isolation_level=None)) as db:
        db.execute(
            "UPDATE failures SET body = CAST(replace(CAST(body AS TEXT), 'Task', 'Tusk') AS BLOB)"
            " WHERE id = 1"
        )
    door.open = True
    with asking(failed) as person:
        answer = person.ask("retry", "alpha", letter=1)
    assert answer.outcome == "refused"
    assert "cannot be read" in answer.text
    assert failed.calls == []
