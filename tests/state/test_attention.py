"""What needs a person: told once it is sure, the most urgent first, with what to do."""

from __future__ import annotations

import pytest

from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.state.attention import (
    LASTING_AFTER,
    FeedTrouble,
    attention_needs,
    daemon_needs,
    plugin_needs,
)
from sgevents_core.state.pulse import Pulse, RunningCall

NOW = 1_800_000_000.0


def pulse(**more: object) -> Pulse:
    """What a daemon does that has run for an hour."""
    return Pulse(pid=1, version="1", started=NOW - 3600, at=NOW, **more)  # type: ignore[arg-type]  # by name


def kinds(seen: Pulse | None, feed: FeedTrouble | None = None) -> list[str]:
    """The kinds of what needs a person."""
    return [need.kind for need in attention_needs(seen, feed or FeedTrouble(), NOW)]


def test_nothing_needs_a_person_while_all_is_well() -> None:
    """With a daemon and without."""
    assert kinds(pulse()) == kinds(None) == []


@pytest.mark.parametrize("field", ["site", "journal"])
def test_trouble_that_may_pass_is_left_alone(field: str) -> None:
    """For a minute; then somebody has to look."""
    short, long = (
        LastingFailure("it failed", NOW - age) for age in (LASTING_AFTER - 1, LASTING_AFTER)
    )
    assert kinds(pulse(**{field: short})) == []
    told = {"site": "site_down", "journal": "state_not_written"}
    assert kinds(pulse(**{field: long})) == [told[field]]


def test_refused_key_needs_a_person_at_once() -> None:
    """It does not pass by itself."""
    assert kinds(pulse(site=LastingFailure("no", NOW, refused=True))) == ["key_refused"]


def test_call_that_holds_up_its_lane_is_named() -> None:
    """With plugin, event and how long, once it has lasted for a minute."""
    calls = tuple(RunningCall("default", "slow", "slow:on_new", 7, NOW - age) for age in (5, 90))
    (need,) = attention_needs(pulse(calls=calls), FeedTrouble(), NOW)
    assert (need.kind, need.plugin) == ("lane_held_up", "slow")
    assert need.text == (
        "slow:on_new of plugin slow has been at event 7 for 90 s, and lane default waits for it"
    )


def test_the_most_urgent_comes_first() -> None:
    """What keeps everything from going on, before what keeps one plugin, before decisions."""
    seen = pulse(
        site=LastingFailure("down", NOW - 100),
        journal=LastingFailure("full", NOW - 100),
        hung=("slow",),
    )
    feed = FeedTrouble("ids went back", 1500, 10, 1509, [str(number) for number in range(7)])
    assert kinds(seen, feed) == [
        *("state_not_written", "site_down", "rewound", "call_hangs", "parked", "set_aside")
    ]
    texts = [need.text for need in attention_needs(seen, feed, NOW)]
    assert texts[4] == "1500 rows that came late are parked, events 10 to 1509"
    assert texts[5].endswith("event 3, event 4 and 2 more")
    assert all("sgevents" in need.fix or need.kind == "state_not_written"
               for need in attention_needs(seen, feed, NOW)
               if need.kind != "call_hangs")  # fmt: skip


@pytest.mark.parametrize(
    ("state", "kind"),
    [("paused", "paused"), ("not started", "not_started"), ("not loaded", "not_loaded")],
)
def test_plugin_that_waits_for_a_person(state: str, kind: str) -> None:
    """With the command that leads out."""
    (need,) = plugin_needs("chat", plugin_state=state, reason_text="20 failures", letter_count=0)
    assert (need.kind, need.plugin) == (kind, "chat")
    assert "sgevents" in need.fix


def test_plugin_that_works_has_dead_letters_at_most() -> None:
    """A held one goes on by itself."""
    for state in ("active", "held", "catching up", "disabled"):
        assert not [*plugin_needs("chat", plugin_state=state, reason_text="", letter_count=0)]
        (need,) = plugin_needs("chat", plugin_state=state, reason_text="", letter_count=3)
        assert need.kind == "dead_letters"


def test_daemon_that_does_not_run_or_move() -> None:
    """The first thing to see to."""
    assert [one.kind for one in daemon_needs(None, None, NOW)] == ["not_running"]
    assert not [*daemon_needs(1, pulse(), NOW)]
    (need,) = daemon_needs(1, pulse(), NOW + 31)
    assert (need.kind, need.text) == ("not_moving", "The daemon has not moved for 31 s")
