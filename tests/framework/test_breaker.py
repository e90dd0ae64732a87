"""The breaker: a plugin whose own writes call it for ever is paused, and no other is."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from drained import drain, going_on
from hypothesis import given
from hypothesis import strategies as st
from installed_packages import Packages
from waiting import wait_until

from sgevents_core import Event
from sgevents_core.calling.breaker import Breaker
from sgevents_core.reading.overview import read_overview
from sgevents_core.sandbox import Sandbox

ROLLUP = {"type": "ApiUser", "id": 3, "name": "rollup 1.0"}
OWN = Event({"id": 1, "user": ROLLUP})
BY_SUDO = Event({"id": 1, "user": {"type": "HumanUser"}, "meta": {"sudo_actual_user": ROLLUP}})
OTHER = Event({"id": 1, "user": {**ROLLUP, "name": "farm 1.0"}})


def breaker(events: int = 3, within: float = 10.0, *, is_own: bool = False) -> Breaker:
    """Return one with small limits."""
    return Breaker("rollup", is_own=is_own, loop_calls=events, loop_seconds=within)


def test_it_trips_when_the_plugin_writes_for_its_own_events_again_and_again() -> None:
    """Within the time between the first and the last of those events; then it counts anew."""
    one = breaker()
    assert [one.completes_loop(OWN, 100 + turn, write_count=1) for turn in range(6)] == [
        *(False, False, True),
        *(False, False, True),
    ]


@pytest.mark.parametrize(
    ("events", "writes"),
    [
        ([OTHER] * 9, [1] * 9),
        ([OWN] * 9, [0] * 9),
        ([OWN] * 9, [1, *[0] * 8]),
        ([OWN, OTHER] * 2, [1] * 4),
    ],
)
def test_it_does_not_trip_otherwise(events: list[Event], writes: list[int]) -> None:
    """Events of others, calls that write nothing, fewer turns than allowed."""
    one = breaker()
    called = zip(events, writes, strict=True)
    assert not any(one.completes_loop(event, 100, write_count=count) for event, count in called)


def test_the_time_is_that_between_the_first_and_the_last_event() -> None:
    """Both ends belong to it, and older turns are forgotten."""
    for apart, trips in ((10, True), (11, False)):
        one = breaker(3, 10)
        assert not one.completes_loop(OWN, 0, write_count=1)
        assert not one.completes_loop(OWN, 5, write_count=1)
        assert one.completes_loop(OWN, apart, write_count=1) is trips
    assert one.completes_loop(OWN, 15, write_count=1)


def test_what_is_done_in_a_users_name_counts_too() -> None:
    """A loop is a loop."""
    one = breaker(2)
    assert not one.completes_loop(BY_SUDO, 1, write_count=1)
    assert one.completes_loop(BY_SUDO, 1, write_count=1)


def test_a_plugin_with_its_own_script_may_write_in_ways_that_are_not_seen() -> None:
    """Its events tell of it; once it has written through ctx.sg, that is what counts."""
    one = breaker(2, is_own=True)
    assert not one.completes_loop(OWN, 1, write_count=0)
    assert one.completes_loop(OWN, 1, write_count=0)
    seen = breaker(2, is_own=True)
    assert [seen.completes_loop(OWN, 1, write_count=count) for count in (1, 0, 0, 1)] == [
        *[False] * 3,
        True,
    ]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=40),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_it_trips_exactly_when_so_many_turns_lie_within_the_time(
    turns: list[tuple[int, bool]], events: int, within: int
) -> None:
    """Compared with looking at the last turns since it tripped."""
    one = breaker(events, within)
    counted: list[int] = []
    writes = 0
    for created, wrote in sorted(turns):
        writes += wrote
        counted += [created] * wrote
        expected = wrote and len(counted) >= events and created - counted[-events] <= within
        assert one.completes_loop(OWN, created, write_count=wrote) is expected
        if expected:
            counted.clear()


LOOPING = """
    from sgevents_core import hookimpl, match

    @hookimpl
    @match(entity_type="Shot", attribute="description")
    def on_change(event, ctx):
        ctx.store["turns"] = ctx.store.get("turns", 0) + 1
        text = f"seen {ctx.store['turns']}"
        ctx.sg.update("Shot", event.entity_id, {"description": text})

    @hookimpl
    def shutdown(ctx):
        ctx.logger.warning("turns: %d", ctx.store.get("turns", 0))
"""
WITNESS = """
    import json, pathlib
    from sgevents_core import hookimpl

    SEEN = pathlib.Path({seen!r})

    @hookimpl
    def on_change(event, ctx):
        with SEEN.open("a") as file:
            file.write(json.dumps(event.attribute) + "\\n")

    @hookimpl
    def plugin_paused(details):
        with SEEN.open("a") as file:
            file.write(json.dumps([details.plugin, details.reason]) + "\\n")
"""


@pytest.fixture
def seen(packages: Packages, tmp_path: Path) -> Path:
    """Install a plugin that loops and one that looks on; return what the latter writes."""
    file = tmp_path / "seen.txt"
    packages.install_module("looping", LOOPING)
    packages.install_module("witness", WITNESS.format(seen=str(file)))
    return file


def lines(file: Path) -> list[object]:
    """What the witness has seen."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_real_loop_is_paused_with_an_alert_and_others_go_on(
    seen: Path, site: Sandbox, tmp_path: Path
) -> None:
    """The reason names the script and the way out; who looks on gets every event."""
    shot = site.create("Shot", {"code": "sh010"})
    site.update("Shot", shot["id"], {"description": "by a person"}, user="ada")
    tables = (
        "[plugins.looping]\nenabled = true\nbreaker_events = 7\n[plugins.witness]\nenabled = true\n"
    )
    with going_on(tmp_path, site, tables):
        wait_until(lambda: seen.exists() and "looping" in seen.read_text(), what="it is told")
    drain(tmp_path, site, tables)  # what came of its last write is for the others
    found = read_overview(tmp_path / "state", frozenset({"looping", "witness"}))
    assert found is not None
    (looping,) = [one for one in found.plugins if one.name == "looping"]
    assert looping.state == "paused"
    reason = looping.reason
    assert reason.startswith("a loop: 7 times within 5m it was called for what its script")
    assert "ignore_own = true" in reason
    assert ["looping", reason] in lines(seen)
    description = site.find("Shot", [["id", "is", shot["id"]]], ["description"])[0]["description"]
    assert description == "seen 8", "the person's change, and seven of its own"
    changes = [row for row in site.event_rows() if row["attribute_name"] == "description"]
    assert lines(seen).count("description") == len(changes)


@pytest.mark.parametrize(
    ("script", "version"),
    [("looper", "1.0"), ("looper", ""), ("loop er 2", "2.0 beta 3"), ("looper", "of the farm")],
)
@pytest.mark.usefixtures("seen")
def test_ignore_own_keeps_the_loop_from_arising(
    site: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, version: str
) -> None:
    """It answers the person's change, and not its own, whatever name and version look like."""
    site.add_script(script, "demo-key", version)
    shot = site.create("Shot", {"code": "sh010"})
    site.update("Shot", shot["id"], {"description": "by a person"}, user="ada")
    keys = f'enabled = true\nignore_own = true\nscript_name = "{script}"\napi_key = "demo-key"\n'
    with caplog.at_level(logging.WARNING, logger="sgevents"):
        for _ in range(3):  # a drain does not wait for what comes of its own last callback
            assert drain(tmp_path, site, f"[plugins.looping]\n{keys}").stopped_plugins == ()
    assert caplog.text.count("turns: 1") == 3
