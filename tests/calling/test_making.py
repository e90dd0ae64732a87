"""One call, made in this thread or in one of its own: its outcome, as a plain value."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from lane_house import Plugin
from site_records import settings
from waiting import PATIENCE, wait_until

from sgevents_core.calling.context import Services
from sgevents_core.calling.making import CallRequest, Executor, LaneThread
from sgevents_core.calling.outcome import CallMessage, CallOutcome, ErrorFacts
from sgevents_core.calling.own_thread import PluginThread, ignore_lane
from sgevents_core.calling.store import CallStore, PluginStore
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.markers import Match
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Callback
from sgevents_core.settings import PluginSettings
from sgevents_core.state.entries import Entry

EVENT = Event({"id": 7, "event_type": "Studio_Ping"})
ENTRY = Entry(3, 7, "Studio_Ping", 100, False, b'{"id": 7}', 2)


@pytest.fixture
def services() -> Iterator[Services]:
    """What the calls of a plugin share, with a secret to keep out of texts."""
    shared = Services(
        Plugin("one", []).loaded(),
        settings("https://site.invalid"),
        PluginSettings(enabled=True),
        store=PluginStore("one", {"n": 1}),
        site_key="site",
        redact=Redactor(["s3cret-key"]),
    )
    yield shared
    shared.close()


@pytest.fixture(params=["lane thread", "own thread"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """Each kind of executor."""
    chosen: Executor = LaneThread()
    if request.param == "own thread":
        chosen = PluginThread("one", "lane", ignore_lane)
    yield chosen
    chosen.close()


def request_for(
    services: Services, function: Callable[[Event, Any], object], **match: Any
) -> CallRequest:
    """Return a request to call a function, with its filter if it has one."""
    callback = Callback("one", "one:run", None, Match(**match), function)
    return CallRequest(callback, EVENT, ENTRY, services, 4, runs_filter=bool(match))


def fail(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises."""

    def function(*_: Any) -> None:
        raise error

    return function


def test_call_that_returns(executor: Executor, services: Services) -> None:
    """Its outcome has its time, and what it changed in its store as JSON."""

    def run(event: Event, ctx: Any) -> None:
        assert (event, ctx.attempt, ctx.key) == (EVENT, 4, "site:2:7:one:one:run")
        ctx.store["m"] = ctx.store.pop("n") + 1

    request = request_for(services, run)
    outcome = executor.call(request, None)
    assert outcome.was_called
    assert outcome.error is None
    assert outcome.store_changes == {"n": None, "m": b"2"}
    assert outcome.seconds >= 0
    assert not outcome.is_unwanted


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (ValueError("s3cret-key"), ErrorFacts()),
        (Retry("later", after=5), ErrorFacts(asks_retry=True, retry_after=5.0)),
        (ConnectionResetError("gone"), ErrorFacts(is_transient=True)),
        (SystemExit(3), ErrorFacts()),
    ],
)
def test_call_that_raises(
    executor: Executor, services: Services, error: BaseException, facts: ErrorFacts
) -> None:
    """The error is described where it was raised, without secrets; no change is handed over."""

    def run(event: Event, ctx: Any) -> None:
        ctx.store["n"] = 2
        raise error

    outcome = executor.call(request_for(services, run), None)
    assert outcome.error is not None
    assert outcome.error.type_name == type(error).__name__
    assert outcome.error.facts == facts
    assert "s3cret-key" not in outcome.error.line + outcome.error.traceback
    assert "in run" in outcome.error.traceback
    assert outcome.store_changes == {}


@pytest.mark.parametrize(
    ("where", "was_called", "is_unwanted", "fails"),
    [
        (lambda _: True, True, False, False),
        (lambda _: False, False, True, False),
        (fail(KeyError("x")), False, False, True),
    ],
)
def test_filter_is_part_of_the_call(
    executor: Executor, services: Services, where: Any, was_called: bool, is_unwanted: bool,
    fails: bool,
) -> None:  # fmt: skip
    """It decides whether the callback is called, and its failure is one of the call."""
    calls: list[Event] = []
    request = request_for(services, lambda event, _: calls.append(event), where=where)
    outcome = executor.call(request, None)
    assert (outcome.was_called, outcome.is_unwanted) == (was_called, is_unwanted)
    assert (outcome.error is not None) is fails
    assert calls == [EVENT] * was_called


def test_outcomes_and_messages_cross_to_another_process(
    executor: Executor, services: Services
) -> None:
    """Encoded and decoded, they are the same values."""

    def run(event: Event, ctx: Any) -> None:
        ctx.store["n"] = "☃"
        raise Retry("later", after=1)

    request = request_for(services, run)
    outcome = executor.call(request, None)
    encoded = msgspec.msgpack.encode(outcome)
    assert msgspec.msgpack.decode(encoded, type=CallOutcome) == outcome
    message = request.message(request.source.body)
    assert message == CallMessage("one", "one:run", 2, 3, 7, b'{"id": 7}', 4, False)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=CallMessage) == message


def test_waiting_for_the_store_is_not_charged(services: Services) -> None:
    """A call with a short limit that waits for another's store is not given up."""
    first = CallStore(services.store, "one", "one:first", 1)
    first.wait_for_grant()
    executor = PluginThread("one", "lane", ignore_lane)
    request = request_for(services, lambda _, ctx: ctx.store.update(n=2))
    outcomes: list[CallOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(executor.call(request, 0.2)))
    thread.start()
    wait_until(lambda: request.context is not None and request.context.seconds_waited > 0.5)
    first.release()
    thread.join(PATIENCE)
    executor.close()
    (outcome,) = outcomes
    assert outcome.error is None
    assert outcome.store_changes == {"n": b"2"}


def test_describing_an_error_is_not_charged(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that takes longer to print than its call may last is that error, and no timeout."""
    monkeypatch.setattr("sgevents_core.calling.describing.INSPECT_TIMEOUT", 0.3)
    released = threading.Event()

    class Slow(Exception):
        def __str__(self) -> str:
            released.wait(PATIENCE)
            return "slow"

    executor = PluginThread("one", "lane", ignore_lane)
    try:
        outcome = executor.call(request_for(services, fail(Slow())), 0.1)
    finally:
        released.set()
        executor.close()
    assert outcome.error is not None
    assert outcome.error.type_name.endswith("Slow")
    assert not outcome.timed_out


def test_call_that_is_given_up_keeps_no_store(services: Services) -> None:
    """Its changes are dropped, later ones refused, and the next call is granted the store."""
    entered, released = threading.Event(), threading.Event()

    def hang(event: Event, ctx: Any) -> None:
        ctx.store["n"] = 2
        entered.set()
        released.wait(PATIENCE)

    executor = PluginThread("one", "lane", ignore_lane)
    request = request_for(services, hang)
    outcome = executor.call(request, 0.1)
    try:
        assert entered.wait(PATIENCE)
        assert outcome.timed_out
        assert executor.hung is not None
        request.release_store()
        following = CallStore(services.store, "one", "one:next", 2)
        following.wait_for_grant()
        assert following["n"] == 1
    finally:
        released.set()
        wait_until(lambda: executor.hung is None)
        executor.close()
