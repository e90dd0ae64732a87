"""Ids that commit late or never, rows hidden and shown again, a log set back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import PATIENCE

from sgevents_core.sandbox import Sandbox
from sgevents_core.sandbox.event_log import EventRow, SandboxEventLog
from sgevents_core.sandbox.refused_calls import RefusedCallError
from sgevents_core.sandbox.writes import Transaction

Connect = Callable[..., Any]


@pytest.fixture
def site(empty: Sandbox) -> Sandbox:
    """A site with one person and one shot."""
    empty.create("HumanUser", {"name": "Ada", "login": "ada"})
    empty.create("Shot", {"code": "sh010"})
    return empty


def ids(sg: Any, above: int = 0) -> list[int]:
    """The ids of the rows above an id, as a client reads them."""
    return [row["id"] for row in sg.find("EventLogEntry", [["id", "greater_than", above]])]


def test_late_rows_appear_at_the_commit(site: Sandbox, sg: Any) -> None:
    """Ids are handed out at once; their rows appear at the commit, after rows of later ids."""
    before = site.log.highest_id
    late = site.late(2)
    later = site.event("Studio_Later")
    assert late.ids == [before + 1, before + 2]
    assert ids(sg, before) == [later]
    late.commit()
    assert ids(sg, before) == [before + 1, before + 2, later]


def test_late_rows_show_after_a_while(site: Sandbox, sg: Any) -> None:
    """A transaction can commit by itself."""
    committed = threading.Event()
    commit = site.log.commit

    def noticed(rows: Any) -> None:
        commit(rows)
        committed.set()

    site.log.commit = noticed  # type: ignore[method-assign]  # to wait for it without sleeping
    late = site.late(1, seconds=0.01)
    assert committed.wait(PATIENCE)
    assert site.log.highest_id == late.ids[0]


def test_late_rows_are_older_than_those_that_overtake_them(site: Sandbox) -> None:
    """A late row has the time at which its id was handed out, so that times ascend with ids."""
    late = site.late(1)
    later = site.event("Studio_Later")
    late.commit()
    rows = site.event_rows(late.ids[0], later)
    assert rows[0]["created_at"] <= rows[1]["created_at"]


def test_times_ascend_when_the_clock_goes_back() -> None:
    """Timestamps ascend with ids even if the clock is set back."""
    noon = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    now = [noon]
    with Sandbox(project=False, clock=lambda: now[0]) as site:
        site.event("Studio_One")
        now[0] = noon - timedelta(hours=1)
        site.event("Studio_Two")
        assert {row["created_at"] for row in site.event_rows()} == {"2026-05-01T12:00:00Z"}


def test_many_late_rows_take_their_places(empty: Sandbox) -> None:
    """Dozens of late rows are sorted in among those that overtook them."""
    late = empty.late(40)
    empty.event("Studio_Later")
    late.commit()
    assert empty.log.visible_ids() == list(range(1, 42))


def test_rows_hidden_twice_stay_hidden(empty: Sandbox) -> None:
    """A row hidden from all and from one script appears to that script once both have ended."""
    for _ in range(3):
        empty.event("Studio_Row")
    empty.hide([2])
    empty.hide([2, 3], "other")
    empty.show([2])
    assert (empty.log.visible_ids(), empty.log.visible_ids("other")) == ([1, 2, 3], [1])
    empty.hide([2])
    empty.show(script="other")
    assert (empty.log.visible_ids(), empty.log.visible_ids("other")) == ([1, 3], [1, 3])


def test_rolled_back_ids_never_come(site: Sandbox, sg: Any) -> None:
    """A failed transaction leaves a gap and does not change the records."""
    before = site.log.highest_id
    shot = sg.find_one("Shot", [], ["code", "tasks"])
    transaction = site.begin()
    transaction.update("Shot", shot["id"], {"code": "changed"})
    task = transaction.create("Task", {"content": "never", "entity": shot})
    burnt = transaction.roll_back()
    assert transaction.commit() == burnt
    after = site.event("Studio_After")
    assert ids(sg, before) == [after]
    assert after == burnt[-1] + 1
    assert sg.find_one("Shot", [["id", "is", shot["id"]]], ["code", "tasks"]) == shot
    assert sg.find("Task", [["content", "is", "never"]]) == []
    assert site.create("Task", {"content": "next"})["id"] == task.id + 1


def create_both(work: Transaction, first: dict[str, Any], other: dict[str, Any]) -> None:
    """Create two shots."""
    work.create("Shot", first)
    work.create("Shot", other)


def test_transaction_block(site: Sandbox) -> None:
    """The rows of a block appear together at its end; an exception rolls all of it back."""
    before = site.log.highest_id
    with site.transaction(user="ada") as work:
        work.create("Shot", {"code": "x"})
        work.event("Studio_Own")
        assert site.log.highest_id == before
    assert site.log.highest_id == work.ids[-1]
    with pytest.raises(RefusedCallError), site.transaction() as failed:
        create_both(failed, {"code": "never"}, {"code": 0})
    assert site.log.highest_id == work.ids[-1]
    assert site.find("Shot", [["code", "is", "never"]]) == []


def test_links_of_a_row_in_a_transaction(site: Sandbox, sg: Any) -> None:
    """A row written in a transaction links to records in the same form as any other."""
    shot = site.create("Shot", {"code": "linked"})
    link = {"type": "Shot", "id": shot["id"]}
    with site.transaction() as work:
        event = work.event("Studio_Linked", entity=link, project=None)
    row = sg.find_one("EventLogEntry", [["id", "is", event.id]], ["entity", "project"])
    assert row["entity"] == {**link, "name": "linked"}
    assert row["project"] is None


def test_large_failed_transaction(site: Sandbox, sg: Any) -> None:
    """A hundred thousand ids can be used up at once."""
    burnt = site.burn(100_000)
    after = site.event("Studio_After")
    assert len(burnt) == 100_000
    assert ids(sg, burnt[0] - 1) == [after] == [burnt[-1] + 1]


def test_rows_hidden_from_one_script(site: Sandbox, sg: Any, connect: Connect) -> None:
    """Rows, new ones too, can be hidden from one script and shown again."""
    site.add_script("other", "other-key")
    other = connect(site, script_name="other", api_key="other-key")
    before = site.log.highest_id
    late = site.late(1)
    first, second = site.event("Studio_One"), site.event("Studio_Two")
    site.hide([late.ids[0], first], "other")
    late.commit()
    third = site.event("Studio_Three")
    everything = [*late.ids, first, second, third]
    assert ids(other, before) == [second, third]
    assert ids(sg, before) == everything
    count = [{"field": "id", "type": "count"}]
    assert other.summarize("EventLogEntry", [["id", "in", everything]], count)["summaries"] == {
        "id": 2
    }
    site.show([first], "other")
    assert ids(other, before) == [first, second, third]
    site.show(script="other")
    assert ids(other, before) == everything


def test_rows_hidden_from_all(site: Sandbox, sg: Any) -> None:
    """Rows hidden from all are missing from pages, single reads and counts until shown again."""
    gone = site.event("Studio_One")
    site.hide([gone])
    assert sg.find_one("EventLogEntry", [["id", "is", gone]]) is None
    assert gone in site.log
    site.show()
    assert sg.find_one("EventLogEntry", [["id", "is", gone]])["id"] == gone


def test_restored_backup_takes_ids_back(site: Sandbox, sg: Any) -> None:
    """After a rewind the higher ids are gone and are handed out again."""
    kept_id = site.event("Studio_Kept")
    lost = site.event("Studio_Lost")
    late = site.late(1)
    site.rewind(kept_id)
    assert ids(sg, kept_id - 1) == [kept_id]
    again = site.event("Studio_Again")
    assert again == lost
    assert sg.find_one("EventLogEntry", [["id", "is", lost]], ["event_type"])["event_type"] == (
        "Studio_Again"
    )
    late.commit()
    assert site.log.highest_id == again


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["add", "begin", "burn"]), st.integers(1, 20)),
            st.tuples(st.sampled_from(["commit"]), st.integers(0, 5)),
            st.tuples(
                st.sampled_from(["hide", "show", "hide one", "show one"]),
                st.sets(st.integers(1, 60), max_size=8),
            ),
            st.tuples(st.sampled_from(["rewind"]), st.integers(0, 60)),
        ),
        max_size=25,
    )
)
def test_log_shows_committed_rows_that_are_not_hidden(steps: list[tuple[str, Any]]) -> None:
    """A script always sees exactly the committed rows that are not hidden from it, in order."""
    log = SandboxEventLog()
    committed: set[int] = set()
    waiting: list[list[EventRow]] = []
    hidden: dict[str | None, set[int]] = {None: set(), "one": set()}

    def rows(number: int) -> list[EventRow]:
        handed_out = [log.hand_out_id("2026-05-01T00:00:00Z") for _ in range(number)]
        return [EventRow(id=event_id, event_type="x", created_at=at) for event_id, at in handed_out]

    def commit(rows: list[EventRow]) -> None:
        log.commit(rows)
        committed.update(row.id for row in rows)

    for action, value in steps:
        script = "one" if action.endswith(" one") else None
        if action == "add":
            commit(rows(value))
        elif action == "begin":
            waiting.append(rows(value))
        elif action == "burn":
            log.burn(value)
        elif action == "commit" and waiting:
            commit(waiting.pop(value % len(waiting)))
        elif action.startswith("hide"):
            log.hide(value, script)
            hidden[script] |= value
        elif action.startswith("show"):
            log.show(value, script)
            hidden[script] -= value
        elif action == "rewind" and value < log.next_id:
            log.rewind(value)
            waiting.clear()
            committed = {event_id for event_id in committed if event_id <= value}
            hidden = {name: {i for i in ids if i <= value} for name, ids in hidden.items()}
    assert log.visible_ids() == sorted(committed - hidden[None])
    assert log.visible_ids("one") == sorted(committed - hidden[None] - hidden["one"])
