"""Events that are put off, in the tests of a plugin: time passes when the test says so."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core import Defer, Retry, hookimpl
from sgevents_core.errors import DurationError
from sgevents_core.testing import EventBuilder, Harness


def _plugin(ready: list[int]) -> Any:
    @hookimpl
    def on_new(event: Any, ctx: Any) -> None:
        if event.entity_id not in ready:
            raise Defer("no media yet", after="10m")
        ctx.store["sent"] = [*ctx.store.get("sent", []), event.entity_id]

    return SimpleNamespace(on_new=on_new)


def _version(version_id: int) -> Any:
    return {"type": "Version", "id": version_id, "name": "v"}


def test_event_comes_again_once_time_has_passed() -> None:
    """Not a moment earlier; the results say what was put off, for how long and why."""
    ready: list[int] = [2]
    builder = EventBuilder()
    with Harness(_plugin(ready), "media") as harness:
        result = harness.run(
            builder.new({"type": "Version", "id": 1, "name": "v"}),
            builder.new({"type": "Version", "id": 2, "name": "v"}),
        )
        assert [(call.outcome, call.wait) for call in result.calls] == [
            ("defer", 600.0),
            ("returned", None),
        ]
        assert [call.reason for call in result.deferred] == ["no media yet"]
        assert (result.failed, result.store) == ([], {"sent": [2]})
        assert harness.pass_time("9m").calls == []
        assert [call.outcome for call in harness.pass_time(61).calls] == ["defer"]
        ready.append(1)
        result = harness.pass_time("10m")
        assert [call.attempt for call in result.raise_errors().calls] == [1]
        assert result.store == {"sent": [2, 1]}
        assert harness.pass_time("7d").calls == []


def test_limit_is_the_configured_one() -> None:
    """Beyond `defer_limit`, the event is a dead letter."""
    with Harness(_plugin([]), "media", defer_limit=900.0) as harness:
        harness.run(EventBuilder().new(_version(1)))
        assert harness.pass_time("10m").dead_letters == []
        (dead,) = harness.pass_time("6m").dead_letters
    assert dead.reason.startswith("DeferLimitReached: put off for 15m")


def test_held_plugin_goes_on_once_time_has_passed() -> None:
    """`run(retry=False)` leaves it held, and the wait of a `Retry` passes as well."""
    tries: list[int] = []

    @hookimpl
    def on_new(event: Any, ctx: Any) -> None:
        tries.append(ctx.attempt)
        if ctx.attempt < 2:
            raise Retry(after="5m")

    with Harness(SimpleNamespace(on_new=on_new), "slow") as harness:
        assert harness.run(EventBuilder().new("Shot"), retry=False).state == "held"
        assert harness.pass_time("4m").calls == []
        assert harness.pass_time("2m").state == "active"
    assert tries == [1, 2]


@pytest.mark.parametrize("duration", ["soon", "10 minutes"])
def test_time_that_is_none(duration: str) -> None:
    """A mistake in a duration is reported as everywhere."""
    with Harness(_plugin([]), "media") as harness, pytest.raises(DurationError, match=duration):
        harness.pass_time(duration)


@pytest.mark.parametrize("error_class", [Defer, Retry])
def test_wait_may_be_a_timedelta(error_class: type[Defer] | type[Retry]) -> None:
    """As a setting of this type is one; so may the time that a test lets pass."""

    @hookimpl
    def on_new(event: Any) -> None:
        raise error_class("not yet", after=timedelta(minutes=5))

    with Harness(SimpleNamespace(on_new=on_new), "media") as harness:
        (call,) = harness.run(EventBuilder().new(_version(1)), retry=False).calls
        assert call.wait == 300.0
        assert harness.pass_time(timedelta(minutes=4)).calls == []
        assert len(harness.pass_time(timedelta(minutes=2)).calls) == 1


def test_event_that_is_put_off_is_no_error() -> None:
    """`raise_errors` raises what went wrong, and nothing did."""
    with Harness(_plugin([]), "media") as harness:
        result = harness.run(EventBuilder().new(_version(1)))
        assert result.raise_errors().deferred == result.calls
