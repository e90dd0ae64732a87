"""Async callbacks: each thread runs them in an event loop of its own, one call at a time."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from lane_house import Plugin
from site_records import settings

from sgevents_core import Event, Retry, hookimpl, match
from sgevents_core.calling.context import Services
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.own_thread import PluginThread, ignore_lane
from sgevents_core.calling.store import PluginStore
from sgevents_core.filters import Match
from sgevents_core.observe.event_loops import running_in_loop
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.signatures import is_async_function
from sgevents_core.settings import PluginSettings
from sgevents_core.state.entries import Entry
from sgevents_core.testing import EventBuilder, Harness, MakeHarness


class Acting:
    """A plugin whose async callback runs the async function of a test."""

    def __init__(self, act: Callable[[Event, Any], Any]) -> None:
        self.act = act

    @hookimpl
    async def on_new(self, event: Event, ctx: Any) -> None:
        """Run the function of the test."""
        await self.act(event, ctx)


def test_an_async_callback_gets_the_same_context(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """Its store commits when it ends, and every call of a thread runs in the same loop."""
    loops = []

    async def act(event: Event, ctx: Any) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        ctx.store[str(event.id)] = [ctx.attempt, ctx.key.endswith("on_new")]
        ctx.sg.update("Shot", event.entity_id, {"code": "x"})

    harness = sgevents_harness(Acting(act), name="acting")
    first, second = (sgevents_event.new({"type": "Shot", "id": number}) for number in (1, 2))
    result = harness.run(first, second).raise_errors()
    assert result.store == {str(event.id): [1, True] for event in (first, second)}
    assert len(result.writes) == 2
    assert loops[0] is loops[1]


def test_async_and_plain_callbacks_keep_their_order(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """A call is over when its coroutine is: nothing of the next callback runs before."""
    steps: list[str] = []

    async def slow(event: Event) -> None:
        steps.append("begins")
        await asyncio.sleep(0.001)
        steps.append("ends")

    class AsyncCall:
        async def __call__(self, event: Event, ctx: Any, args: str) -> None:
            steps.append(args)

    class Mixed:
        @hookimpl
        @match(entity_type="Shot")
        async def on_new(self, ctx: Any) -> None:
            steps.append(ctx.plugin)

        @hookimpl
        def on_event(self) -> None:
            steps.append("plain")

        @hookimpl
        def register_callbacks(self, registrar: Any) -> None:
            registrar.register(functools.partial(slow), name="slow")
            registrar.register(AsyncCall(), args="with args")

    harness = sgevents_harness(Mixed(), name="mixed")
    harness.run(sgevents_event.new("Shot")).raise_errors()
    assert steps == ["mixed", "plain", "begins", "ends", "with args"]


def test_errors_of_an_async_callback_are_judged_like_any_other(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """`Retry`, a bug, an exit and its own cancellation; the traceback begins in the plugin."""
    errors = [Retry("soon"), SystemExit(3), asyncio.CancelledError(), ValueError("bug")]

    async def act(event: Event, ctx: Any) -> None:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop(0)

    harness = sgevents_harness(Acting(act), name="acting")
    result = harness.run([sgevents_event.new("Shot") for _ in range(4)])
    outcomes = [(call.outcome, type(call.error).__name__) for call in result.calls]
    assert outcomes == [
        ("retry", "Retry"),
        ("dead-letter", "SystemExit"),
        ("dead-letter", "CancelledError"),
        ("dead-letter", "ValueError"),
        ("returned", "NoneType"),
    ]
    (bug,) = [call for call in result.calls if isinstance(call.error, ValueError)]
    assert bug.error is not None
    files = {frame.filename for frame in traceback.extract_tb(bug.error.__traceback__)}
    assert not [file for file in files if "asyncio" in file]


def test_tasks_left_over_are_cancelled_and_warned_about(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    """They end with their call; an async generator that was left open is closed silently."""
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("linger")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            ended.append("numbers")

    async def act(event: Event, ctx: Any) -> None:
        if event.id == first.id:
            tasks = [asyncio.create_task(linger()) for _ in range(2)]
            await asyncio.sleep(0)
            assert not any(task.done() for task in tasks)
        async for _ in numbers():
            break

    first, second = sgevents_event.new("Shot"), sgevents_event.new("Shot")
    harness = sgevents_harness(Acting(act), name="acting")
    with caplog.at_level(logging.WARNING, "sgevents.dispatch"):
        harness.run(first, second).raise_errors()
    assert sorted(ended) == ["linger", "linger", "numbers", "numbers"]
    (warning,) = [r for r in caplog.records if vars(r).get("action") == "callback.left_tasks"]
    assert vars(warning)["event_id"] == first.id
    assert "has left 2 tasks running, cancelled now: " in warning.getMessage()
    assert "linger. Await them in the callback" in warning.getMessage()


@pytest.mark.parametrize("kind", ["a coroutine", "an async generator"])
def test_a_plain_function_that_returns_something_to_await_fails(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder, kind: str
) -> None:
    """It would run nothing, so it is a failure that says what to do."""

    async def later() -> None: ...

    async def many() -> AsyncIterator[int]:
        yield 1

    class Plugin:
        @hookimpl
        def on_new(self) -> object:
            return later() if kind == "a coroutine" else many()

    (call,) = sgevents_harness(Plugin(), name="p").run(sgevents_event.new("Shot")).calls
    assert call.outcome == "dead-letter"
    assert f"NotAwaitedError: It returned {kind}" in call.reason
    assert "Make the callback itself an `async def`" in call.reason


def test_a_filter_that_returns_a_coroutine_fails(
    sgevents_harness: MakeHarness, sgevents_event: EventBuilder
) -> None:
    """It would be true for every event."""

    async def wants(event: Event) -> bool:
        return False

    class Plugin:
        @hookimpl
        @match(where=lambda event: event.id and wants(event))
        def on_new(self) -> None: ...

    (call,) = sgevents_harness(Plugin(), name="p").run(sgevents_event.new("Shot")).failed
    assert "returned a coroutine. Give a plain function" in call.reason


def test_a_harness_inside_a_running_loop_says_what_to_do(sgevents_event: EventBuilder) -> None:
    """An async test calls it in another thread."""

    async def act(event: Event, ctx: Any) -> None: ...

    async def check() -> None:
        with Harness(Acting(act), name="acting") as harness:
            (call,) = harness.run(sgevents_event.new("Shot")).failed
            assert "asyncio.to_thread" in call.reason
            result = await asyncio.to_thread(harness.run, sgevents_event.new("Shot"))
            result.raise_errors()

    asyncio.run(check())


# Time limits

EVENT = Event({"id": 7, "event_type": "Studio_Ping"})
ENTRY = Entry(3, 7, "Studio_Ping", 100, False, b'{"id": 7}', 2)
SOON = 0.05


def services() -> Services:
    """Return what the calls of a plugin share."""
    return Services(
        Plugin("one", []).loaded(),
        settings("https://site.invalid"),
        PluginSettings(enabled=True),
        store=PluginStore("one", {}),
        site_key="site",
        redact=Redactor(["s3cret-key"]),
    )


def request_for(function: Callable[[Event, Any], Any]) -> CallRequest:
    """Return a request to call an async function."""
    assert is_async_function(function)
    run = running_in_loop(function)
    callback = Callback("one", "one:run", None, Match(), run, is_async=True)
    return CallRequest(callback, EVENT, ENTRY, services())


async def wait_for_ever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


async def tidy_up(event: Event, ctx: Any) -> None:
    """End at once when cancelled."""
    ctx.store["before"] = True
    await wait_for_ever()  # s3cret-key


async def end_well(event: Event, ctx: Any) -> None:
    """Return as if nothing was wrong when cancelled."""
    try:
        await wait_for_ever()
    except asyncio.CancelledError:
        ctx.store["after"] = True


async def fail_to_clean(event: Event, ctx: Any) -> None:
    """Raise something else when cancelled."""
    try:
        await wait_for_ever()
    finally:
        raise ValueError("clean-up")


@pytest.mark.parametrize("function", [tidy_up, end_well, fail_to_clean])
def test_a_call_is_cancelled_at_its_timeout(function: Callable[[Event, Any], Any]) -> None:
    """It is charged as a timeout, nothing of it is kept, and its thread takes the next call."""
    executor = PluginThread("one", "lane", ignore_lane)
    threads = []

    async def note_thread(event: Event, ctx: Any) -> None:
        threads.append(threading.get_ident())

    outcome = executor.call(request_for(function), SOON)
    assert executor.hung is None
    assert outcome.timed_out
    assert outcome.error is not None
    assert outcome.error.line == "CallbackTimeout: It did not return within 50ms."
    assert not outcome.store_changes
    assert outcome.error.traceback.startswith("Where it waited (most recent call last):\n")
    assert "in wait_for_ever" in outcome.error.traceback
    assert "event_loops.py" not in outcome.error.traceback
    assert "s3cret-key" not in outcome.error.traceback
    assert executor.call(request_for(note_thread), SOON).error is None
    assert threads
    executor.close()


def test_a_call_that_ignores_its_cancellation_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up as a plain function is, and its late return counts for nothing."""
    monkeypatch.setattr("sgevents_core.calling.own_thread.CANCEL_SECONDS", SOON)
    opened, returned = threading.Event(), threading.Event()

    async def stubborn(event: Event, ctx: Any) -> None:
        while not opened.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                ctx.store["ignored"] = True

    executor = PluginThread("one", "lane", ignore_lane)
    executor.returned = returned.set
    outcome = executor.call(request_for(stubborn), SOON)
    assert executor.hung is not None
    assert (outcome.timed_out, outcome.store_changes) == (True, {})
    opened.set()
    assert returned.wait(30)
    assert executor.hung is None
    executor.close()


def test_a_heartbeat_puts_the_timeout_off() -> None:
    """As for plain functions."""
    executor = PluginThread("one", "lane", ignore_lane)

    async def beat(event: Event, ctx: Any) -> None:
        for _ in range(10):
            await asyncio.sleep(0.05)
            ctx.heartbeat()

    assert executor.call(request_for(beat), 0.4).error is None
    executor.close()
