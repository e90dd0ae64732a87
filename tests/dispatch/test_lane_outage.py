"""Calls that fail because the site does not answer: held, not charged, and made again after it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from lane_house import House, only, raising, without
from shotgun_api3.shotgun import Shotgun
from unkind_server import unkind_server
from waiting import wait_until

from sgevents_core.calling import outage
from sgevents_core.choices import OnError
from sgevents_core.errors import Retry
from sgevents_core.events import Event
from sgevents_core.reading.outcomes import Outcomes
from sgevents_core.sandbox import Sandbox
from sgevents_core.settings import Secret, SiteSettings
from sgevents_core.state.opening import open_state


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let held plugins go on without the usual second of jitter."""
    monkeypatch.setattr(outage, "FIRST_WAIT", 0.001)


class Site:
    """Where callbacks write: `works` says whether the site does."""

    def __init__(self) -> None:
        self.works = False
        self.wrapped: Callable[[BaseException], BaseException] = lambda error: error

    def write(self, event: Event, ctx: Any) -> None:
        """Write to the site, on whose port nobody listens; or do as if it had worked."""
        if self.works:
            return
        try:
            ctx.sg.update("Shot", 1, {"code": "x"})
        except Exception as error:
            again = self.wrapped(error)
            if again is error:
                raise
            raise again from None


@pytest.fixture
def site() -> Site:
    """A site that is down."""
    return Site()


def is_held(house: House, *plugins: str) -> bool:
    """Whether plugins are held."""
    return all(house.records()[name].state == "held" for name in plugins)


def settle(house: House) -> None:
    """Wait until no plugin is behind, and all is handled."""
    wait_until(lambda: not any(one.apart for one in house.records().values()))
    house.settle()


def told(caplog: pytest.LogCaptureFixture, action: str) -> int:
    """How often something was logged."""
    return sum(vars(record).get("action") == action for record in caplog.records)


def test_outage_costs_no_attempt(
    house: House, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is made again as a whole when the site answers, as the first attempt; told once."""
    caplog.set_level(logging.INFO)
    house.plugin("writes", "first", site.write, "last", max_attempts=1, pause_after=1)
    house.plugin("reads", "run")
    with house.running():
        house.events(1, 2, 3)
        wait_until(lambda: is_held(house, "writes"))
        house.site_is_down()
        wait_until(lambda: "3 reads.run" in house.calls)
        wait_until(lambda: told(caplog, "plugin.waits_for_site") == 1)
        for event in (4, 5, 6):
            house.events(event)
            wait_until(lambda: f"{event} reads.run" in house.calls)  # noqa: B023 - called within the loop
        assert only(house.calls, "writes") == ["1 writes.first", "1 writes.write"]
        site.works = True
        house.site_answers()
        settle(house)
    steps = ["first", "write", "last"]
    again = [f"{event} writes.{step}" for event in range(1, 7) for step in steps]
    assert only(house.calls, "writes") == ["1 writes.first", "1 writes.write", *again[1:]]
    assert house.state.dead_letters() == []
    assert house.state.attempts() == {}
    assert told(caplog, "plugin.waits_for_site") == 1
    assert told(caplog, "callback.held") == told(caplog, "callback.dead_lettered") == 0


def test_call_that_fails_alone_is_charged(house: House, site: Site) -> None:
    """Where others are answered, it was the call's own fault: as many calls as ever, and kept."""
    house.plugin("bad", site.write, "second", max_attempts=2)
    with house.running():
        house.events(1)
        for attempt in (1, 2):
            wait_until(lambda: len(house.calls) == attempt and is_held(house, "bad"))  # noqa: B023 - called within the loop
            wait_until(lambda: house.health.is_wanted)
            house.site_answers()
        wait_until(lambda: "1 bad.second" in house.calls)
        house.settle()
    assert house.calls == ["1 bad.write", "1 bad.write#2", "1 bad.second"]
    (letter,) = house.state.dead_letters()
    assert (letter.callback, letter.attempt, letter.outcome) == ("bad:write", 2, "dead-letter")


@pytest.mark.parametrize("on_error", ["dead-letter", "pause", "skip"])
def test_policy_counts_as_soon_as_it_is_known(house: House, site: Site, on_error: OnError) -> None:
    """`on_error` says what follows, then as ever; what may be skipped is not waited for."""
    house.plugin("bad", site.write, "second", on_error=on_error, max_attempts=1)
    with house.running():
        house.events(1)
        if on_error != "skip":
            wait_until(lambda: house.health.is_wanted)
            house.site_answers()
        last = "paused" if on_error == "pause" else "active"
        wait_until(lambda: house.records()["bad"].state == last and house.lanes[0].seq == 1)
        house.settle()
    assert len(house.state.dead_letters()) == (on_error == "dead-letter")
    assert ("1 bad.second" in house.calls) == (on_error != "pause")


def test_twenty_in_a_row_pause_as_ever(house: House, site: Site) -> None:
    """Its own faults are counted, so a plugin whose query never works is paused."""
    house.plugin("bad", site.write, max_attempts=1, pause_after=3)
    with house.running():
        house.events(1, 2, 3, 4)
        for event in (1, 2, 3):
            wait_until(lambda: f"{event} bad.write" in house.calls)  # noqa: B023 - called within the loop
            wait_until(lambda: house.health.is_wanted)
            house.site_answers()
        wait_until(lambda: house.records()["bad"].state == "paused")
    assert len(house.state.dead_letters()) == 3


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda error: RuntimeError("publish failed"),
        lambda error: KeyError("sg_status_list"),
        lambda error: Retry("the site is down", after=0),
        lambda error: SystemExit(1),
    ],
)
def test_what_the_plugin_makes_of_it_does_not_matter(
    house: House, site: Site, wrapped: Callable[[BaseException], BaseException]
) -> None:
    """A call that the site did not answer has failed for that, whatever is raised in the end."""
    site.wrapped = wrapped
    house.plugin("writes", site.write, max_attempts=1)
    with house.running():
        house.events(1)
        wait_until(lambda: is_held(house, "writes"))
        house.site_is_down()
        site.works = True
        house.site_answers()
        settle(house)
    assert house.calls == ["1 writes.write", "1 writes.write"]
    assert house.state.dead_letters() == []


def test_plugin_that_swallows_the_error_has_handled_the_event(house: House) -> None:
    """It returned, and that is its decision: it is not called again."""

    def swallows(event: Event, ctx: Any) -> None:
        with contextlib.suppress(Exception):
            ctx.sg.find_one("Shot", [])

    house.plugin("swallows", swallows)
    with house.running():
        house.site_is_down()
        house.events(1, 2)
        house.settle()
    assert house.calls == ["1 swallows.swallows", "2 swallows.swallows"]


def test_other_failures_in_an_outage_are_judged_as_ever(house: House) -> None:
    """A bug that has nothing to do with the site becomes a dead letter at once."""
    house.plugin("bad", raising(ValueError("no")))
    with house.running():
        house.site_is_down()
        house.events(1)
        house.settle()
    assert len(house.state.dead_letters()) == 1


def test_own_connections_wait_for_a_known_outage(house: House) -> None:
    """A plugin may have a client of its own: what passes by itself waits for the site as well."""
    works: list[bool] = []

    def asks(event: Event, ctx: Any) -> None:
        if not works:
            raise ConnectionRefusedError

    house.plugin("own", asks, max_attempts=1)
    with house.running():
        house.site_is_down()
        house.events(1)
        wait_until(lambda: is_held(house, "own"))
        works.append(True)
        house.site_answers()
        settle(house)
    assert house.calls == ["1 own.asks"] * 2
    assert house.state.dead_letters() == []


def test_restart_in_an_outage(house: House, site: Site) -> None:
    """It is tried once at the start, held again, and still no attempt is spent."""
    house.plugin("writes", site.write, max_attempts=1)
    with house.running():
        house.events(1, 2)
        wait_until(lambda: is_held(house, "writes"))
        house.site_is_down()
    for _ in range(2):
        before = len(house.calls)
        with house.running():
            wait_until(lambda: len(house.calls) > before)  # noqa: B023 - called within the loop
            wait_until(lambda: house.health.is_wanted)
            house.site_is_down()
    site.works = True
    with house.running():
        settle(house)
    assert house.calls == ["1 writes.write"] * 4 + ["2 writes.write"]
    assert house.state.dead_letters() == []


def test_outage_while_catching_up(house: House, site: Site) -> None:
    """A plugin that is behind is held where it is, and goes on there."""
    again = [Retry("not yet", after=0.05)]

    def writes(event: Event, ctx: Any) -> None:
        if again:
            raise again.pop()
        if event.id == 3:
            site.write(event, ctx)

    house.plugin("writes", writes, max_attempts=2)
    with house.running():
        house.events(1, 2, 3, 4)
        wait_until(lambda: "3 writes.writes" in house.calls and house.health.is_wanted)
        house.site_is_down()
        assert house.records()["writes"].cursor == 2
        site.works = True
        house.site_answers()
        settle(house)
    made = ["1", "1", "2", "3", "3", "4"]
    assert [call.split()[0] for call in house.calls] == made
    assert [call for call in house.calls if "#" in call] == ["1 writes.writes#2"]
    assert house.state.dead_letters() == []
    assert house.state.attempts() == {}


def test_many_plugins_go_on_together(house: House, site: Site) -> None:
    """All that are held are called again when the site is back, and all in their order."""
    names = [f"p{number}" for number in range(6)]
    for name in names:
        house.plugin(name, site.write, lane="night" if name in "p1 p4" else "default")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: is_held(house, *names))
        house.site_is_down()
        site.works = True
        house.site_answers()
        settle(house)
    for name in names:
        assert only(house.calls, name) == [f"{event} {name}.write" for event in (1, 1, 2)]


def test_site_that_comes_and_goes(
    house: House, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it answers the call is made again, never sooner; no attempt is spent."""
    house.plugin("writes", site.write, max_attempts=1)
    with house.running():
        house.events(1)
        for turn in range(1, 5):
            wait_until(lambda: len(house.calls) == turn and house.health.is_wanted)  # noqa: B023 - called within the loop
            house.site_is_down()
            wait_until(lambda: told(caplog, "plugin.waits_for_site") == turn)  # noqa: B023 - called within the loop
            site.works = turn == 4
            house.site_answers()
        settle(house)
    assert house.calls == ["1 writes.write"] * 5
    assert house.state.dead_letters() == []


def test_answer_that_asks_for_patience_is_waited_for(house: House) -> None:
    """`Retry-After` of the answer is honoured, though the site answers others before."""
    with unkind_server() as address:
        house.site = SiteSettings(
            url=f"{address}/429/", script_name="x", api_key=Secret("demo-key")
        )
        house.plugin("writes", Site().write)
        with house.running():
            asked = time.monotonic()
            house.events(1)
            wait_until(lambda: house.health.is_wanted)
            house.site_is_down()
            house.site_answers()
            lane_plugin = house.lanes[0].lane_plugins[0]
            wait_until(lambda: lane_plugin.waiting is None)
            assert asked + 5.0 < lane_plugin.hold_until <= time.monotonic() + 7.0
    assert house.calls == ["1 writes.write"]


def test_person_decides_in_an_outage(house: House, site: Site) -> None:
    """Who is put out of its waiting by a person is no longer looked after."""
    house.plugin("writes", site.write, max_attempts=1)
    with house.running():
        house.events(1)
        wait_until(lambda: is_held(house, "writes"))
        lane_plugin = house.lanes[0].lane_plugins[0]

        def pause(lane: Any) -> bool:
            lane_plugin.record.pause("a person did")
            return True

        house.lanes[0].post(pause)
        wait_until(lambda: lane_plugin.record.state == "paused")
        house.site_answers()
        wait_until(lambda: lane_plugin.waiting is None)
    assert house.calls == ["1 writes.write"]
    assert house.state.dead_letters() == []


def test_call_that_its_timeout_gave_up_in_a_call_to_the_site(house: House) -> None:
    """A site that is silent for longer than the callback may take is an outage like others."""
    with unkind_server() as address:
        house.site = SiteSettings(
            url=f"{address}/silent/", script_name="x", api_key=Secret("demo-key"), timeout=0.3
        )
        works: list[bool] = []

        def asks(event: Event, ctx: Any) -> None:
            if not works:
                ctx.sg.find_one("Shot", [])

        house.plugin("asks", asks, timeout=0.05, max_attempts=1)
        with house.running():
            house.events(1)
            wait_until(lambda: house.health.is_wanted)
            house.site_is_down()
            works.append(True)
            house.site_answers()
            settle(house)
    assert house.calls == ["1 asks.asks"] * 2
    assert house.state.dead_letters() == []


def test_others_in_the_lane_are_not_held(house: House, site: Site) -> None:
    """Only plugins whose calls failed wait; order within each stays."""
    house.plugin("writes", site.write)
    house.plugin("good", "run")
    with house.running():
        house.site_is_down()
        house.events(*range(1, 20))
        wait_until(lambda: "19 good.run" in house.calls)
        site.works = True
        house.site_answers()
        settle(house)
    assert without(house.calls, "writes") == [f"{event} good.run" for event in range(1, 20)]
    assert only(house.calls, "writes")[1:] == [f"{event} writes.write" for event in range(1, 20)]


def test_startup_in_an_outage(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin whose startup meets it is started when the site is back, and loses nothing."""
    caplog.set_level(logging.INFO)
    works: list[bool] = []

    def startup(ctx: Any) -> None:
        house.calls.append("startup")
        if not works:
            ctx.sg.schema_read()
        ctx.store["started"] = True

    house.plugin("reads", "run", hooks={"startup": startup})
    house.plugin("good", "run")
    with house.running():
        house.events(1, 2)
        wait_until(lambda: "2 good.run" in house.calls and house.health.is_wanted)
        assert is_held(house, "reads")
        house.site_is_down()
        wait_until(lambda: told(caplog, "plugin.waits_for_site") == 1)
        works.append(True)
        house.site_answers()
        settle(house)
    assert [call for call in house.calls if "good" not in call] == [
        "startup", "startup", "1 reads.run", "2 reads.run",
    ]  # fmt: skip
    assert house.state.store("reads") == {"started": True}
    assert told(caplog, "plugin.started_late") == 1


@pytest.mark.parametrize("own", ["the query's", "a bug behind it"])
def test_startup_that_fails_by_its_own_fault(house: House, own: str) -> None:
    """Where others are answered it is broken, as ever: handed no events, and losing none."""

    def startup(ctx: Any) -> None:
        if own == "the query's" or "startup" not in house.calls:
            house.calls.append("startup")
            ctx.sg.schema_read()
        raise ValueError("a bug")

    house.plugin("reads", "run", hooks={"startup": startup})
    house.plugin("good", "run")
    with house.running():
        house.events(1)
        wait_until(lambda: house.health.is_wanted)
        if own != "the query's":
            house.site_is_down()
        house.site_answers()
        wait_until(lambda: house.records()["reads"].state == "not started")
        house.settle()
    assert house.calls == ["startup", "1 good.run"]
    assert "a bug" in house.records()["reads"].reason or own == "the query's"
    house.plugins["reads"].hooks = {}
    house.run()
    assert house.calls[-1] == "1 reads.run"


def test_restart_while_a_startup_waits(house: House) -> None:
    """It is tried at the next start, and is held meanwhile as before."""
    works: list[bool] = []

    def startup(ctx: Any) -> None:
        if not works:
            ctx.sg.schema_read()

    def shutdown(ctx: Any) -> None:
        house.calls.append("shutdown")

    house.plugin("reads", "run", hooks={"startup": startup, "shutdown": shutdown})
    for _ in range(2):
        with house.running():
            house.events(house.state.end() + 1)
            wait_until(lambda: house.health.is_wanted)
            house.site_is_down()
        assert is_held(house, "reads")
    works.append(True)
    with house.running():
        settle(house)
    assert house.calls == ["1 reads.run", "2 reads.run", "shutdown"]


def test_drain_waits_until_it_is_known_whose_fault_it_was(house: House, site: Site) -> None:
    """Ended before, each run would call it again and never charge it."""
    house.plugin("bad", site.write, max_attempts=1)
    with house.running():
        house.events(1)
        wait_until(lambda: house.health.is_wanted)
        assert not house.lanes[0].caught_up(1)
        house.site_answers()
        house.settle()
        assert len(house.state.dead_letters()) == 1


def test_client_of_its_own(house: House) -> None:
    """A plugin may have made its own client of the site: its first failure is spared too."""
    works: list[bool] = []
    client = Shotgun("http://127.0.0.1:1", "x", "demo-key", connect=False)

    def asks(event: Event, ctx: Any) -> None:
        if works:
            return
        try:
            client.find_one("Shot", [])
        except Exception as error:
            raise RuntimeError("no shot") from error

    house.plugin("own", asks, max_attempts=1)
    with house.running():
        house.events(1)
        wait_until(lambda: house.health.is_wanted)
        house.site_is_down()
        works.append(True)
        house.site_answers()
        settle(house)
    assert house.calls == ["1 own.asks"] * 2
    assert house.state.dead_letters() == []


@pytest.mark.parametrize("alone", [False, True])
def test_key_that_is_refused(house: House, alone: bool) -> None:
    """A key that is refused to all is an outage; to one plugin alone, that plugin's trouble."""
    with Sandbox(project=False) as sandbox:
        house.site = SiteSettings(url=sandbox.url, script_name="x", api_key=Secret("wrong-key"))

        def asks(event: Event, ctx: Any) -> None:
            ctx.sg.find_one("HumanUser", [])

        house.plugin("asks", asks)
        with house.running():
            house.events(1)
            wait_until(lambda: house.health.is_wanted)
            if alone:
                house.site_answers()
                wait_until(house.state.dead_letters)
            else:
                house.site_is_down()
                sandbox.add_script("x", "wrong-key")
                house.site_answers()
                settle(house)
    assert len(house.state.dead_letters()) == alone


def test_explain_and_the_ledger_say_what_it_waits_for(house: House, site: Site) -> None:
    """Whoever looks is told that it is the site, also where an attempt failed otherwise before."""
    again = [Retry("not yet", after=0)]

    def writes(event: Event, ctx: Any) -> None:
        if again:
            raise again.pop()
        site.write(event, ctx)

    house.plugin("writes", writes)
    with house.running():
        house.events(1)
        wait_until(lambda: house.health.is_wanted)
        house.site_is_down()
        with closing(open_state(house.folder).past()) as past:
            failures = past.failures(1)
        fate = Outcomes(house.folder).outcome_of("writes", "writes:writes", 1, failures)
    reason = "waits for the site: ConnectionRefusedError"
    assert house.records()["writes"].reason.startswith(reason)
    assert fate.text.startswith(f"held at it after 1 attempt: {reason}")
