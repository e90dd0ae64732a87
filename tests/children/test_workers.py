"""A worker process makes one call at a time; whatever a call does to it costs that call alone."""

from __future__ import annotations

import logging
import sys

import pytest
from worker_house import NOTES, WorkerHouse, error_of

from sgevents_core.calling.batches import batch_request, key_request
from sgevents_core.calling.making import CallRequest
from sgevents_core.observe import printed_output
from sgevents_core.settings import Secret
from sgevents_core.state.done_parts import DonePart


def test_a_call_returns_what_it_came_to(house: WorkerHouse) -> None:
    """The callback gets the event and a full `ctx`; this process never imports it."""
    house.plugin("notes", NOTES)
    with house.working() as worker:
        outcome = house.call(worker, "notes", 7)
    assert outcome.error is None
    assert outcome.was_called
    assert house.written("calls") == "notes 7 site:1:7:notes:notes:on_event 1\n"
    assert "notes" not in sys.modules


def test_an_error_is_described_where_it_was_raised(house: WorkerHouse) -> None:
    """Line, traceback and facts come up, without secrets."""
    house.plugin(
        "fails",
        """
@hookimpl
def on_event(event, ctx):
    if event.id == 1:
        raise ValueError("with demo-key-of-the-site")
    raise Retry("later", after=5)
""",
    )
    with house.working() as worker:
        bug, later = house.call(worker, "fails", 1), house.call(worker, "fails", 2)
    assert error_of(bug).line == "ValueError: with ***"
    assert 'raise ValueError("with ***")' in error_of(bug).traceback
    assert not error_of(bug).facts.is_transient
    assert error_of(later).facts.asks_retry
    assert error_of(later).facts.retry_after == 5.0


def test_the_store_is_granted_at_its_first_use(house: WorkerHouse) -> None:
    """Changes come up with the outcome, and the next call sees them."""
    house.plugin(
        "counts",
        """
@hookimpl
def on_event(event, ctx):
    ctx.store["calls"] = ctx.store.get("calls", 0) + 1
    ctx.store.setdefault("first", event.id)
    if event.id == 2:
        del ctx.store["first"]
        raise ValueError
    if event.id == 3:
        del ctx.store["first"]
""",
    )
    with house.working() as worker:
        for event_id in (1, 2, 3):
            house.call(worker, "counts", event_id)
    assert house.store("counts") == {"calls": 2}


def test_what_is_logged_comes_out_here(
    house: WorkerHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Records name plugin, callback and event; those of a call precede its death."""
    house.plugin(
        "talks",
        """
import logging
@hookimpl
def on_event(event, ctx):
    ctx.logger.warning("hello %s", event.id, extra={"shot": "010"})
    logging.getLogger("sgevents.plugin.talks").warning("last")
    os._exit(1)
""",
    )
    with caplog.at_level(logging.INFO, "sgevents"), house.working() as worker:
        house.call(worker, "talks", 5)
        texts = [record.getMessage() for record in caplog.records]
    assert texts[:2] == ["hello 5", "last"]
    fields = vars(caplog.records[0])
    assert (fields["plugin"], fields["callback"]) == ("talks", "talks:on_event")
    assert (fields["event_id"], fields["shot"]) == (5, "010")


def test_what_is_printed_names_its_call(
    house: WorkerHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each line is a record of the call that runs, even the last one before a death."""
    monkeypatch.setattr(printed_output, "_redirected", [(1, -1)])
    house.plugin(
        "prints",
        """
@hookimpl
def on_event(event, ctx):
    print("from Python")
    os.write(2, b"from anywhere\\n")
    os.write(1, b"unfinished")
    os._exit(0)
""",
    )
    with caplog.at_level(logging.INFO, "sgevents"), house.working() as worker:
        house.call(worker, "prints", 3)
        lines = [vars(record) for record in caplog.records if record.name == "sgevents.printed"]
    assert [line["message"] for line in lines] == ["from Python", "from anywhere", "unfinished"]
    assert {(line["plugin"], line["event_id"]) for line in lines} == {("prints", 3)}


def test_calls_to_the_site_are_known_here(house: WorkerHouse) -> None:
    """One that gets no answer is seen at once, also if the call never ends."""
    house.plugin(
        "asks",
        """
@hookimpl
def on_event(event, ctx):
    ctx.sg.config.rpc_attempt_interval = 0
    try:
        ctx.sg.find_one("Shot", [])
    except Exception:
        if event.id == 1:
            raise
        threading.Event().wait()
""",
    )
    with house.working() as worker:
        outcome = house.call(worker, "asks", 1)
        assert outcome.site_unanswered
        assert house.services["asks"].contact.failed_at > 0
        assert house.call(worker, "asks", 2, limit=3.0).site_unanswered


def test_filters_are_asked_in_the_process(house: WorkerHouse) -> None:
    """Static conditions are known here; a function, and values, are the plugin's own."""
    house.plugin(
        "chooses",
        """
@hookimpl
@match(event_type="Shotgun_*", where=lambda event: event.id > 1)
def on_event(event, ctx):
    ctx.logger.info("called")
""",
    )
    with house.working() as worker:
        (callback,) = house.plugins["chooses"].callbacks
        assert callback.match.event_type == ("Shotgun_*",)
        assert callback.match.where is not None
        first, second = house.request("chooses", 1), house.request("chooses", 2)
        first.runs_filter = second.runs_filter = True
        assert worker.call(first, None).is_unwanted
        assert worker.call(second, None).was_called


def test_secrets_reach_the_process_by_the_pipe_alone(house: WorkerHouse) -> None:
    """Neither its command line nor its environment has them, and they never come back in clear."""
    house.plugin(
        "knows",
        """
@hookimpl
def on_event(event, ctx):
    words = Path("/proc/self/cmdline").read_bytes() + Path("/proc/self/environ").read_bytes()
    assert b"demo-key" not in words
    assert ctx.settings["token"].reveal() == "token-of-the-plugin"
    raise ValueError(ctx.settings["token"].reveal())
""",
        settings={"token": Secret("token-of-the-plugin")},
        script_name="own",
        api_key=Secret("demo-key-of-the-plugin"),
    )
    with house.working() as worker:
        assert error_of(house.call(worker, "knows")).line == "ValueError: ***"


def test_what_a_call_says_of_its_event_comes_up(house: WorkerHouse) -> None:
    """That it is put off, that nothing was done and why, and what passes by the plugin's rule."""
    house.plugin(
        "says",
        """
from sgevents_core import Defer

class Full(Exception): ...

@hookimpl
@match(retry_on=Full, max_attempts=3)
def on_event(event, ctx):
    if event.id == 1:
        raise Defer("no media yet", after="10m")
    if event.id == 2:
        ctx.ignore("no route, with demo-key-of-the-site")
    if event.id == 3:
        raise Full

@hookimpl
def failure_passes(error, ctx):
    return ctx.attempt < 2
""",
    )
    with house.working() as worker:
        put_off, ignored, listed = (house.call(worker, "says", number) for number in (1, 2, 3))
        (callback,) = house.plugins["says"].callbacks
    assert error_of(put_off).line == "Defer: no media yet"
    assert error_of(put_off).facts.defer_after == 600.0
    assert (ignored.error, ignored.ignored) == (None, "no route, with ***")
    assert error_of(listed).facts.is_listed
    assert callback.max_attempts == 3
    assert "failure_passes" not in house.plugins["says"].hooks


BATCHES = """
@hookimpl
@match(batch="2s", by=lambda event: event.id % 2, where=lambda event: event.id < 9)
def on_event(events, ctx):
    with (FOLDER / "calls").open("a") as file:
        file.write(f"{[event.id for event in events]} {ctx.key} {ctx.attempt}\\n")
"""


def test_a_worker_says_the_key_of_an_event_and_is_called_with_a_batch(house: WorkerHouse) -> None:
    """The filter and the key are the plugin's code, and run there too."""
    house.plugin("rolls", BATCHES)
    with house.working() as worker:
        rules = house.plugins["rolls"].callbacks[0].batch
        assert rules is not None
        assert (rules.pause, rules.size, rules.asks_plugin) == (2.0, 100, True)
        assert worker.call(key_question(house, 3), None).batch_key == "1"
        assert worker.call(key_question(house, 9), None).is_unwanted
        single = house.request("rolls", 3)
        bodies = [house.request("rolls", number).source.body for number in (3, 5)]
        request = batch_request(
            single.callback, bodies, single.source, house.services["rolls"], None
        )
        assert worker.call(request, None).error is None
    assert house.written("calls") == "[3, 5] site:1:3:rolls:rolls:on_event 1\n"


def key_question(house: WorkerHouse, event_id: int) -> CallRequest:
    """Return the question for the key of an event."""
    single = house.request("rolls", event_id)
    asked = key_request(single.callback, single.event, single.source, single.services)
    asked.runs_filter = True
    return asked


def test_parts_of_calls_are_recorded_by_the_daemon(house: WorkerHouse) -> None:
    """At once, also where the call fails or the process dies later; the next call knows them."""
    house.plugin(
        "posts",
        """
@hookimpl
def on_event(event, ctx):
    with ctx.once("dailies") as first:
        print("first" if first else "done")
    if event.id == 1 and first:
        raise ValueError("a bug")
    if event.id == 2 and first:
        os._exit(3)
    try:
        with ctx.once("leads"):
            raise KeyError
    except KeyError:
        pass
""",
    )
    records = PartsInMemory()
    with house.working() as worker:
        house.services["posts"].part_records = records
        assert error_of(house.call(worker, "posts", 1)).line == "ValueError: a bug"
        assert house.call(worker, "posts", 1).error is None
        assert house.call(worker, "posts", 2).death is not None
        assert house.call(worker, "posts", 2).error is None
    assert {(part.event_id, part.name) for part in records.done} == {(1, "dailies"), (2, "dailies")}


class PartsInMemory:
    """Records parts of calls as a lane's ledger does."""

    def __init__(self) -> None:
        self.done: set[DonePart] = set()

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part is done."""
        return done_part in self.done

    def note_part_done(self, done_part: DonePart) -> None:
        """Record that a part is done."""
        self.done.add(done_part)
