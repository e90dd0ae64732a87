"""The contract of a state, beside journal and ledger: requests, letters, past events, the feed."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest
from journal_rows import AT, event_row, grow
from state_values import failure

from sgevents_core.errors import StaleWriter, StateError
from sgevents_core.state.cursors import entry_at
from sgevents_core.state.entries import TakenRow
from sgevents_core.state.feed_values import (
    FeedChange,
    FeedState,
    MissingRange,
    ParkedRange,
    SetAside,
)
from sgevents_core.state.keys import CallKey
from sgevents_core.state.letters import LetterChange, LetterChoice
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import RecordedLane, State, Writer
from sgevents_core.state.requests import ReplayEvent, RequestAnswer, RequestStep
from sgevents_core.state.steps import CallDeaths, Step

DONE = RequestAnswer("done", "paused")
KEY = CallKey("notify", "notify:on_new")


def late(*ids: int) -> list[TakenRow]:
    """Rows to append, none of them late."""
    return [TakenRow(event_row(event_id), False) for event_id in ids]


def test_what_one_connection_writes_every_other_reads(home: State, state: Writer) -> None:
    """Readers need no writer, and see what is committed, whole."""
    grow(state, [event_row(7), event_row(8)])
    with closing(home.reader()) as reader, closing(home.feed_writer()) as feed:
        assert [entry.event_id for entry in reader.read(0, 9)] == [7, 8]
        assert feed.append(2, late(9), FeedChange(FeedState(frontier=9))) == 3
        assert reader.end() == state.end() == 3
        assert home.is_made()
        assert reader.is_ready


def test_each_thread_has_a_connection_of_its_own(home: State, state: Writer) -> None:
    """Two lanes that record at the same time lose none of their steps."""

    def record(lane: str) -> None:
        with closing(home.lane_writer()) as writer:
            fence = writer.take_lane(lane)
            for seq in range(1, 51):
                writer.record(lane, fence, Step(progress=Progress(seq), store={lane: {"n": seq}}))

    threads = [threading.Thread(target=record, args=(lane,)) for lane in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for lane in ("one", "two"):
        assert (state.lane_progress(lane), state.store(lane)) == (Progress(50), {"n": 50})


def test_append_is_all_or_nothing(state: Writer) -> None:
    """Refused rows leave neither rows nor the feed's change, whatever the reason is."""
    grow(state, [event_row(5)])
    before = state.load_feed()
    change = FeedChange(FeedState(frontier=99), put=[MissingRange(6, 8, AT, 0.0, True)])
    with pytest.raises(StaleWriter):
        state.append(0, late(9), change)
    with pytest.raises(StateError):
        state.append(1, late(9, 5), change)
    with pytest.raises(StateError):
        state.append(1, late(9, 9), change)
    assert (state.end(), state.load_feed()) == (1, before)
    assert state.append(1, late(9), change) == 2


def test_refused_writers_of_the_feed_change_nothing(home: State, state: Writer) -> None:
    """A reset and a decision by somebody who does not know the journal's end are refused whole."""
    with closing(home.requests()) as requests:
        number = requests.ask("reset", "", {}, "anna@host")
        grow(state, [event_row(5)])
        before = state.load_feed()
        step = RequestStep(number, answer=DONE)
        for write in (state.begin_era, state.decide):
            with pytest.raises(StaleWriter):
                write(0, FeedChange(FeedState(era=2)), step)
        assert (state.load_feed(), requests.answer_of(number)) == (before, None)


def test_what_a_caller_holds_is_a_copy(state: Writer) -> None:
    """A record, a store or the feed's state that is changed after a call changes nothing else."""
    fence = state.take_lane("main")
    record, values = PluginRecord("notify", "main"), {"list": [1]}
    state.record("main", fence, Step(plugins=[record], store={"notify": {"key": values}}))
    record.pause("changed")
    values["list"].append(2)
    state.plugins()["notify"].pause("changed")
    state.store("notify")["key"]["list"].append(3)
    assert state.plugins()["notify"].state == "active"
    assert state.store("notify") == {"key": {"list": [1]}}
    feed = FeedState(recent=[(1, AT)])
    state.append(0, [], FeedChange(feed))
    feed.recent.append((2, AT))
    found = state.load_feed()
    assert found is not None
    assert found.state.recent == [(1, AT)]


def test_advance_writes_what_it_makes_of_the_record(state: Writer) -> None:
    """Progress and records come from the lane itself; a stale fence is not even asked."""
    fence = state.take_lane("main")
    records = [PluginRecord("notify", "main"), PluginRecord("other", "elsewhere")]
    state.record("main", fence, Step(progress=Progress(3), plugins=records))

    def advanced(recorded: RecordedLane) -> Step:
        (record,) = recorded.plugins
        record.stop_at(Progress(2))
        return Step(progress=Progress(recorded.progress.running), plugins=[record])

    state.advance("main", fence, advanced)
    assert state.lane_progress("main") == Progress(4)
    assert state.plugins()["notify"].cursor == 2
    state.take_lane("main")
    with pytest.raises(StaleWriter):
        state.advance("main", fence, advanced)
    assert state.lane_progress("main") == Progress(4)


def test_request_is_answered_once(home: State, state: Writer) -> None:
    """The first answer stays; who waits sees it, and the request waits no longer."""
    with closing(home.requests()) as requests:
        detail = {"reason": "broken", "event_id": 7}
        first, second = requests.ask_all(
            [
                ("pause", "notify", detail, ()),
                ("replay", "count", {}, [ReplayEvent(1, 0, 9, b"{}")]),
            ],
            "anna@host",
        )
        assert [request.number for request in requests.waiting()] == [first, second]
        assert [request.number for request in requests.waiting(above_number=first)] == [second]
        assert [request.plugin for request in requests.waiting(plugin_name="notify")] == ["notify"]
        assert requests.unanswered([second, 99, first]) == [second, first]
        state.answer(RequestStep(first, answer=DONE))
        requests.answer(first, RequestAnswer("failed", "too late"))
        assert requests.answer_of(first) == DONE
        assert (requests.get(first), requests.answer_of(second)) == (None, None)
        assert [
            (asked.outcome, asked.about, asked.reason) for asked in requests.list_latest(2)
        ] == [
            ("done", "7", "broken"),
            (None, "", ""),
        ]


def test_request_remembers_how_far_it_has_come(home: State, state: Writer) -> None:
    """Calls that were begun are counted until progress is noted; events stay until the answer."""
    events = [ReplayEvent(1, 0, number, b"{}") for number in (8, 9)]
    fence = state.take_lane("main")
    with closing(home.requests()) as requests:
        number = requests.ask("replay", "notify", {"events": 2}, "anna@host", events)
        requests.begin(number)
        requests.begin(number)
        request = requests.get(number)
        assert request is not None
        assert (request.begun, request.progress) == (2, {})
        step = Step(request=RequestStep(number, progress={"done": 1}), store={"notify": {"n": 1}})
        state.record("main", fence, step)
        request = requests.get(number)
        assert request is not None
        assert (request.begun, request.progress) == (0, {"done": 1})
        assert [requests.replay_event(number, index) for index in range(3)] == [*events, None]
        state.record("main", fence, Step(request=RequestStep(number, answer=DONE)))
        assert requests.replay_event(number, 0) is None


def test_stale_step_answers_no_request(home: State, state: Writer) -> None:
    """Answer, letter and store of a step that is refused are not there."""
    fence = state.take_lane("main")
    state.take_lane("main")
    with closing(home.requests()) as requests, closing(home.letters()) as letters:
        number = requests.ask("retry", "notify", {}, "anna@host")
        change = LetterChange(None, failure(outcome="dead-letter"), dead=True)
        request = RequestStep(number, answer=DONE, letter=change)
        with pytest.raises(StaleWriter):
            state.record("main", fence, Step(request=request, store={"notify": {"n": 1}}))
        assert (requests.answer_of(number), letters.find(), state.store("notify")) == (None, [], {})


def test_numbers_are_never_given_twice(home: State, state: Writer) -> None:
    """Neither that of a request that was forgotten nor that of a failure that was pruned."""
    fence = state.take_lane("main")
    grow(state, [event_row(1), event_row(2)])
    pruned = state.record("main", fence, Step(failure=failure(seq=1)))
    assert state.prune(created_before=2**40, first_kept_seq=2) == 1
    assert state.record("main", fence, Step(failure=failure(seq=2))) > pruned
    with closing(home.requests()) as requests:
        number = requests.ask("pause", "notify", {}, "anna@host")
        requests.answer(number, DONE)
        requests.forget(answered_before=2.0**40)
        assert requests.list_latest(9) == []
        assert requests.ask("resume", "notify", {}, "anna@host") > number


def test_only_what_was_answered_before_is_forgotten(home: State, state: Writer) -> None:
    """What is unanswered waits however long it takes, and the newest answers can be read."""
    with closing(home.requests()) as requests:
        answered, waits = (requests.ask("pause", name, {}, "anna@host") for name in ("a", "b"))
        state.answer(RequestStep(answered, answer=DONE))
        requests.forget(answered_before=0.0)
        assert requests.answer_of(answered) == DONE
        requests.forget(answered_before=2.0**40)
        assert [asked.number for asked in requests.list_latest(9)] == [waits]


def test_letter_is_changed_by_what_becomes_of_it(home: State, state: Writer) -> None:
    """It keeps its event, can be read when it is retried or dismissed, and is listed no more."""
    grow(state, [event_row(101), event_row(102)])
    fence = state.take_lane("main")
    numbers = [
        state.record(
            "main", fence, Step(failure=failure(seq=seq, outcome="dead-letter"), dead=True)
        )
        for seq in (1, 2)
    ]
    with closing(home.requests()) as requests, closing(home.letters()) as letters:
        (first, second) = letters.find()
        assert (first.number, first.body) == (numbers[0], state.read(0, 1)[0].body)
        assert letters.of_call("notify", KEY.callback, 2, 102) == second
        assert letters.find(event_id=102) == letters.find(plugin_name="notify")[1:] == [second]
        number = requests.ask("retry", "notify", {}, "anna@host")
        retried = failure(seq=1, attempt=3, outcome="retried")
        change = LetterChange(numbers[0], retried, dead=False)
        step = RequestStep(number, letter=change, dismissed=[numbers[1]])
        assert state.record("main", fence, Step(request=step)) == numbers[0]
        found = [letters.get(number) for number in (*numbers, 99)]
        assert [letter and letter.failure.outcome for letter in found] == [
            "retried",
            "dismissed",
            None,
        ]
        assert (letters.find(), letters.count(LetterChoice()), state.dead_letter_counts()) == (
            [],
            0,
            {},
        )


def test_given_up_event_ends_its_attempts(home: State, state: Writer) -> None:
    """Attempts and deaths of all the plugin's callbacks for it are over; others stay."""
    fence = state.take_lane("main")
    deaths = [CallDeaths("notify", KEY.callback, seq, 1, 0, "crashed", "") for seq in (1, 2)]
    doubts = [("notify", KEY.callback, 1, 2), ("count", "c", 1, 1)]
    state.record("main", fence, Step(doubts=doubts, deaths=deaths))
    with closing(home.requests()) as requests:
        number = requests.ask("skip", "notify", {}, "anna@host")
    step = Step(request=RequestStep(number, passed=("notify", 1)))
    state.record("main", fence, step)
    assert (state.deaths(), state.attempts()) == (deaths[1:], {(CallKey("count", "c"), 1): 1})
    state.record("main", fence, Step(settled=("notify", KEY.callback, 2)))
    assert state.deaths() == []


def test_eras_keep_their_events_apart(home: State, state: Writer) -> None:
    """After a reset the same ids come again; what was missing or parked is kept for the record."""
    grow(state, [event_row(3), event_row(1), event_row(2)], late={1, 2})
    missing, parked = MissingRange(4, 6, AT, 0.0, True), ParkedRange(7, 8, 1, AT)
    state.append(3, [], FeedChange(FeedState(), put=[missing], put_parked=[parked]))
    with closing(home.requests()) as requests, closing(home.past()) as past:
        number = requests.ask("reset", "", {}, "anna@host")
        change = FeedChange(FeedState(era=2))
        state.begin_era(3, change, RequestStep(number, answer=DONE))
        feed = state.load_feed()
        assert feed is not None
        assert (feed.state.era, feed.missing, feed.parked) == (2, [], [])
        assert requests.answer_of(number) == DONE
        grow(state, [event_row(1)], era=2)
        assert [entry.era for entry in state.read(0, 9)] == [1, 1, 1, 2]
        newest = past.event(1)
        assert newest is not None
        assert (newest.era, newest.seq) == (2, 4)
        assert [event.event_id for event in past.between(1, 1, 2)] == [1, 2]
        assert [event.event_id for event in past.since(1, AT)] == [3, 1, 2]
        kept = [past.kept_from(era) for era in (1, 2, 3)]
        assert [start and start.event_id for start in kept] == [3, 1, None]
        assert past.left_out("closed", 1) == [(4, 6)]
        assert past.left_out("dropped", 1) == [(7, 8)]
        assert past.is_left_out("closed", 1, 5)
        assert not past.is_left_out("closed", 2, 5)


def test_feed_trouble_is_what_the_feed_recorded(home: State, state: Writer) -> None:
    """Parked rows and events set aside are counted; a decision ends both."""
    parked = [ParkedRange(7, 8, 1, AT), ParkedRange(3, 3, 1, AT)]
    aside = SetAside("9", "no id of an event", "site", 5.0)
    change = FeedChange(FeedState(rewound="backwards"), put_parked=parked, set_aside=[aside])
    state.append(0, [], change)
    trouble = state.feed_trouble()
    assert trouble == ("backwards", 3, 3, 8, ["9"])
    with closing(home.requests()) as requests, closing(home.past()) as past:
        assert past.left_out("parked", 1) == [(3, 3), (7, 8)]
        number = requests.ask("parked", "", {"decision": "drop"}, "anna@host")
        decided = FeedChange(FeedState(), cut_parked=[3, 7], dropped=[(3, 3), (7, 8)])
        state.decide(0, decided, RequestStep(number, answer=DONE))
        state.forget_aside([aside], RequestStep(number))
        assert requests.answer_of(number) == DONE
        assert past.left_out("dropped", 1) == [(3, 3), (7, 8)]
    assert state.feed_trouble() == ("", 0, 0, 0, [])


def test_passed_over_entry_is_mended_and_replayed(home: State, state: Writer) -> None:
    """Each plugin that still needed it gets it by a request; the record of it is cleared."""
    grow(state, [event_row(5)])
    (entry,) = state.read(0, 1)
    assert state.pass_over(entry, ["notify", "count"], "cannot be read")
    assert not state.pass_over(entry, ["notify"], "cannot be read")
    assert (state.passed_over_ids(1), state.passed_over_ids(2)) == ([5], [])
    assert [(aside.event, aside.where) for aside in state.set_aside_events()] == [("5", "journal")]
    row = event_row(5, "Shotgun_Shot_New")
    state.mend(1, [row, event_row(6)])
    mended = entry_at(state, 1)
    assert mended is not None
    assert (mended.event_type, mended.body, mended.whole) == (row.event_type, row.body, True)
    assert (state.passed_over_ids(1), state.set_aside_events()) == ([], [])
    with closing(home.requests()) as requests:
        asked = requests.waiting()
        assert [(one.kind, one.plugin, one.detail) for one in asked] == [
            ("replay", "count", {"mended": 5}),
            ("replay", "notify", {"mended": 5}),
        ]
        assert requests.replay_event(asked[0].number, 0) == ReplayEvent(1, 1, 5, row.body)


def test_names_of_scripts_follow_renames(state: Writer) -> None:
    """A name that moved to another id leaves the old one; those not asked about stay."""
    state.keep_scripts({1: "old", 2: "other"}, {})
    state.keep_scripts({3: "third"}, {"old": [4]})
    assert state.scripts() == {2: "other", 3: "third", 4: "old"}


def test_plugins_join_where_they_began(home: State, state: Writer) -> None:
    """The first place that is noted stays."""
    fence = state.take_lane("main")
    record = PluginRecord("notify", "main", Progress(7), apart=True)
    state.record("main", fence, Step(plugins=[record]))
    state.record_first_cursors()
    record.finish(9)
    state.record("main", fence, Step(plugins=[record]))
    state.record_first_cursors()
    with closing(home.past()) as past:
        assert past.first_cursors() == {"notify": 7}


@pytest.mark.parametrize("limit", [2, 100])
def test_pruning_keeps_all_above_a_cursor(state: Writer, limit: int) -> None:
    """However old it is, and however often pruning runs; events keep their places."""
    grow(state, [event_row(n, at=100) for n in range(1, 9)])
    while state.prune(created_before=200, first_kept_seq=6, entry_limit=limit):
        pass
    assert [entry.seq for entry in state.read(0, 99)] == [6, 7, 8]
    assert (state.lowest(), state.end(), state.event_types()) == (6, 8, ["Shotgun_Task_Change"])
    assert state.read(2, 1)[0].seq == 6
    assert state.append(8, late(9), FeedChange(FeedState())) == 9


def test_records_of_an_event_can_be_read_for_people(home: State, state: Writer) -> None:
    """All failures of it, those that are no dead letters too, in the order they came."""
    fence = state.take_lane("main")
    steps: list[dict[str, Any]] = [{"attempt": 1}, {"attempt": 2, "outcome": "dead-letter"}]
    numbers = [
        state.record("main", fence, Step(failure=failure(**fields), dead=bool(n)))
        for n, fields in enumerate(steps)
    ]
    with closing(home.past()) as past:
        found = past.failures(101)
        assert [(kept.dead, kept.number) for kept in found] == [
            (False, numbers[0]),
            (True, numbers[1]),
        ]
        assert [kept.failure.attempt for kept in found] == [1, 2]
    assert state.dead_letter_counts() == {"notify": (1, "ValueError: no")}
