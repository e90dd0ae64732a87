"""Parts of a call that are done once for an event, however often the call is made."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
from lane_house import House
from passing_time import PassingTime
from request_desk import asking, kept_event, letters
from waiting import wait_until

from sgevents_core import Defer, Retry
from sgevents_core.errors import PartOutsideCallError
from sgevents_core.events import Event
from sgevents_core.settings import LaneSettings
from sgevents_core.site.ageing import prune


@pytest.fixture(params=["one strand", "by entity", "own thread"])
def table(request: pytest.FixtureRequest, house: House) -> dict[str, Any]:
    """Keys of the plugin's table, in each kind of lane of threads."""
    if request.param == "by entity":
        house.lane_settings["default"] = LaneSettings(workers=4, order_by="entity")
    return {"timeout": 60.0} if request.param == "own thread" else {}


def test_second_try_does_not_repeat_what_is_done(house: House, table: dict[str, Any]) -> None:
    """The part that failed is done again, the one before it is not."""
    posted: list[tuple[int, str]] = []

    def posts(event: Event, ctx: Any) -> None:
        for channel in ("dailies", "leads"):
            with ctx.once(channel) as first:
                if first:
                    posted.append((event.id, channel))
                    if channel == "leads" and ctx.attempt < 3:
                        raise Retry("busy", after=0)

    house.plugin("chat", posts, **table)
    with house.running():
        house.events(1, 2)
        wait_until(lambda: len(posted) == 8)
        house.settle()
    assert [channel for id_, channel in posted if id_ == 1] == ["dailies", *["leads"] * 3]
    assert letters(house) == []


def test_parts_outlive_the_process(house: House, table: dict[str, Any]) -> None:
    """What was done before a stop is known after it, for a dead letter and a replay too."""
    posted: list[str] = []
    broken = [True]

    def posts(event: Event, ctx: Any) -> None:
        with ctx.once("dailies") as first:
            if first:
                posted.append("dailies")
        if broken[0]:
            raise ValueError("a bug")
        with ctx.once("leads") as first:
            if first:
                posted.append("leads")

    house.plugin("chat", posts, **table)
    with house.running():
        house.events(1)
        house.settle()
    broken[0] = False
    with asking(house) as desk:
        assert desk.ask("retry", "chat", letter=letters(house)[0].number).outcome == "done"
        assert desk.ask("replay", "chat", [kept_event(house, 1)]).outcome == "done"
    assert posted == ["dailies", "leads"]


def test_parts_belong_to_an_event_and_a_callback(house: House) -> None:
    """The same name elsewhere is another part."""
    posted: list[tuple[int, str]] = []

    def one(event: Event, ctx: Any) -> None:
        with ctx.once("x") as first:
            posted.append((event.id, f"one {first}"))
        with ctx.once("x") as first:
            posted.append((event.id, f"one {first}"))

    def two(event: Event, ctx: Any) -> None:
        with ctx.once("x") as first:
            posted.append((event.id, f"two {first}"))

    house.plugin("chat", one, two)
    with house.running():
        house.events(1, 2)
        house.settle()
    assert posted == [
        (event_id, text) for event_id in (1, 2) for text in ("one True", "one False", "two True")
    ]


def test_part_whose_block_raises_is_not_done(house: House) -> None:
    """Whatever it raises, and even if the callback catches that."""
    firsts: list[bool] = []

    def tries(event: Event, ctx: Any) -> None:
        for _ in range(2):
            with suppress(SystemExit), ctx.once("x") as first:
                firsts.append(first)
                raise SystemExit(3)

    house.plugin("chat", tries)
    with house.running():
        house.events(1)
        house.settle()
    assert firsts == [True, True]


def test_parts_of_an_event_that_is_put_off(house: House) -> None:
    """They are kept until it has come again."""
    posted: list[bool] = []
    later = [False]

    def posts(event: Event, ctx: Any) -> None:
        with ctx.once("x") as first:
            posted.append(first)
        if not later[0]:
            raise Defer(after=5)

    house.plugin("chat", posts)
    with house.running():
        passing = PassingTime(house)
        house.events(1)
        house.settle()
        later[0] = True
        passing.pass_on(6)
        wait_until(lambda: posted == [True, False])
        wait_until(lambda: house.state.deferred_calls() == [])


def test_parts_go_with_their_event(house: House) -> None:
    """When the journal no longer has it, unless a dead letter does."""
    known: list[bool] = []

    def posts(event: Event, ctx: Any) -> None:
        with ctx.once("x") as first:
            known.append(not first)
        if event.id == 2:
            raise ValueError("a bug")

    house.plugin("chat", posts)
    with house.running():
        house.events(1, 2, 3, at=100)
        house.settle()
    events = [kept_event(house, seq) for seq in (1, 2)]
    assert prune(house.state, {"chat"}, 200) == 2
    with asking(house) as desk:
        desk.ask("replay", "chat", events)
    assert known == [False, False, False, False, True]


def test_thread_that_outlives_its_call(house: House) -> None:
    """A part that ends after the call is refused: the call may be made again already."""
    refused: list[BaseException] = []
    over, done = threading.Event(), threading.Event()

    def leaves_a_thread(event: Event, ctx: Any) -> None:
        def late() -> None:
            try:
                with ctx.once("x"):
                    over.wait(30)
            except PartOutsideCallError as error:
                refused.append(error)
            finally:
                done.set()

        threading.Thread(target=late, daemon=True).start()

    house.plugin("chat", leaves_a_thread)
    with house.running():
        house.events(1)
        house.settle()
        over.set()
        assert done.wait(30)
    assert "the call is over" in str(refused[0])


@pytest.mark.parametrize("name", ["", "x" * 201, None, 7])
def test_names_that_are_none(house: House, name: Any) -> None:
    """A part has a text of 1 to 200 characters as its name."""

    def posts(event: Event, ctx: Any) -> None:
        with ctx.once(name):
            pass

    house.plugin("chat", posts)
    with house.running():
        house.events(1)
        house.settle()
    (letter,) = letters(house)
    assert "a part has a name of 1 to 200 characters" in letter.failure.error


def test_hooks_without_an_event_have_no_parts(house: House) -> None:
    """The message says so."""
    said: list[str] = []

    def startup(ctx: Any) -> None:
        try:
            ctx.once("x")
        except PartOutsideCallError as error:
            said.append(str(error))

    house.plugin("chat", "does nothing", hooks={"startup": startup})
    with house.running():
        pass
    assert said == ["ctx.once('x') cannot be used here: only a call for an event has parts."]
