"""The site goes away while callbacks write to it: no person is needed, and no event is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fault_scene import Scene
from reliability import GROUPS, Reliability

GROUP = GROUPS[2]
FEED = 'poll_interval = "20ms"\nidle_interval = "40ms"\nstart = 1\npage_size = 50\n'
STRICT = "max_attempts = 1\npause_after = 1\n"
DEED = """
        import pathlib, time
        ctx.sg.find_one("HumanUser", [["id", "is", 1]])
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.005)
        ctx.sg.find_one("HumanUser", [["id", "is", 1]])
"""
"""Asks the site twice, and in between waits for the test to make it go away."""


def _bad(kind: str, **options: Any) -> Callable[[Scene], Callable[[], None]]:
    """Let the site answer badly; what is returned lets it answer again."""

    def begin(scene: Scene) -> Callable[[], None]:
        scene.site.faults.add(kind, **options)
        return scene.site.faults.clear

    return begin


def _gone(scene: Scene) -> Callable[[], None]:
    """Let the site refuse connections."""
    scene.site.go_down()
    return scene.site.come_back


AWAY: list[tuple[str, Callable[[Scene], Callable[[], None]], bool]] = [
    ("Connections are refused while callbacks write", _gone, False),
    ("Connections are refused while callbacks write, and a kill", _gone, True),
    ("Status 503 while callbacks write", _bad("status", status=503), False),
    ("An HTML page with status 200 while callbacks write", _bad("html"), False),
    ("Connections are closed while callbacks write", _bad("drop"), False),
]


@pytest.mark.parametrize(("fault", "begin", "killed"), AWAY)
def test_outage_that_begins_in_a_call(
    scene: Scene,
    reliability: Reliability,
    fault: str,
    begin: Callable[[Scene], Callable[[], None]],
    killed: bool,
) -> None:
    """One attempt, one failure to a pause: both are spared, also over a kill in the outage."""
    go = scene.daemon.folder / "go"
    scene.daemon.feed = FEED
    scene.install("mike", DEED.format(go=str(go)), keys=STRICT)
    run = scene.start()
    owed = scene.events(5)
    scene.until(lambda: scene.daemon.events_of("mike"), "mike is called")
    end = begin(scene)
    go.touch()
    scene.wait_told("plugin.waits_for_site")
    if killed:
        run.kill()
        run = scene.start()
        scene.wait_told("plugin.waits_for_site", 2)
    end()
    scene.wait_for(owed, "mike")
    owed += scene.events(2)
    scene.wait_for(owed, "mike")
    measured = scene.finish(run, owed)
    calls = [call for call in scene.daemon.noted() if call.plugin == "mike"]
    assert {call.attempt for call in calls} == {1}
    assert list(dict.fromkeys(call.event_id for call in calls)) == owed
    assert scene.letters() == []
    assert scene.times_told("plugin.waits_for_site") == 1 + killed
    assert scene.times_told("callback.held") == scene.times_told("plugin.paused") == 0
    injected = "the plugin has one attempt, and is killed with the daemon" if killed else ""
    injected = injected or "the plugin has one attempt, and pauses after one failure"
    reliability.row(GROUP, fault, injected, 1, *measured)


def test_query_that_fails_while_the_site_is_fine(scene: Scene, reliability: Reliability) -> None:
    """The site answers the feed: the failure is the query's, and kept as a dead letter."""
    scene.daemon.feed = FEED
    scene.install("mike", "ctx.sg.find_one('HumanUser', [])", keys="max_attempts = 2\n")
    scene.site.faults.add("status", status=500, entity_type="HumanUser")
    run = scene.start()
    owed = scene.events(3)
    scene.wait_for(owed)
    scene.until(lambda: len(scene.letters("mike")) == len(owed), "all are dead letters")
    measured = scene.finish(run, owed)
    calls = [
        (call.event_id, call.attempt) for call in scene.daemon.noted() if call.plugin == "mike"
    ]
    assert calls == [(event, attempt) for event in owed for attempt in (1, 2)]
    assert scene.times_told("plugin.waits_for_site") == 0
    reliability.row(
        GROUP,
        "A query always gets status 500",
        "the site answers all other queries; tried twice, then a dead letter",
        3,
        *measured,
    )
