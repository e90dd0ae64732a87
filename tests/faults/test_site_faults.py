"""A site that does not answer, answers nonsense, or lets nobody in for a while."""

from __future__ import annotations

from typing import Any

import pytest
from fault_scene import Scene
from forward_proxy import forward_proxy
from reliability import GROUPS, Reliability

GROUP = GROUPS[2]
FEED = 'poll_interval = "20ms"\nbacklog_timeout = "1m"\nstart = 1\npage_size = 50\n'
CALLS = 6

KINDS: list[tuple[str, str, list[dict[str, Any]]]] = [
    ("Connections are closed without an answer", "drop", [{}]),
    ("Connections are reset", "reset", [{}]),
    ("Answers end in the middle of the body", "cut-body", [{}]),
    ("Truncated JSON with status 200", "cut-json", [{}]),
    ("Garbage with status 200", "garbage", [{}]),
    ("An HTML page with status 200", "html", [{}]),
    ("Status 403, 404 and 429", "status", [{"status": status} for status in (403, 404, 429)]),
    ("Status 500, 502 and 503", "status", [{"status": status} for status in (500, 502, 503)]),
    ("The API refuses calls with a Fault", "api-error", [{}]),
    ("The key is refused although it is right", "refused-key", [{}]),
]


@pytest.mark.parametrize(("fault", "kind", "options"), KINDS)
def test_bad_answers(
    scene: Scene, reliability: Reliability, fault: str, kind: str, options: list[dict[str, Any]]
) -> None:
    """Nothing is concluded from such an answer, whatever the call was; it is told, and over."""
    scene.daemon.feed = FEED
    run = scene.start()
    owed = scene.events(5)
    scene.wait_for(owed)
    late = scene.site.late()
    owed += scene.events(2)
    for turn in range(CALLS):
        struck = scene.site.faults.add(kind, calls=1, **options[turn % len(options)])
        owed += scene.events(5)
        scene.until(lambda: struck.injected, f"{kind} strikes")  # noqa: B023 - called within the loop
    owed += late.commit()
    scene.wait_for(owed)
    if kind != "drop":  # the client makes such a call again by itself
        scene.wait_told("site.answers")
    measured = scene.finish(run, owed)
    assert scene.site.faults.injected(kind) == CALLS
    assert scene.times_told("site.failed") == scene.times_told("site.answers")
    reliability.row(GROUP, fault, "calls of every kind, one after another", CALLS, *measured)


def test_every_call_of_the_feed_fails_once(scene: Scene, reliability: Reliability) -> None:
    """Pages, looks, counts: each kind of call, struck in a row, costs time and nothing else."""
    scene.daemon.feed = FEED.replace("1m", "100ms")
    owed = scene.events(3)
    late = scene.site.late()
    owed += scene.events(3)
    first = [scene.site.faults.add(kind, calls=2) for kind in ("html", "drop", "garbage")]
    run = scene.start()
    scene.wait_told("feed.timeout_elapsed")
    counts = scene.site.faults.add("cut-body", calls=2, method="summarize")
    owed += late.commit()
    scene.until(lambda: counts.injected == 2, "counts fail")
    measured = scene.finish(run, owed)
    assert [fault.injected for fault in first] == [2, 2, 2]
    reliability.row(
        GROUP,
        "The very first calls fail, and so do the counts of audits",
        "HTML, dropped connections, garbage, cut bodies, 2 calls each",
        8,
        *measured,
    )


def test_silent_site(scene: Scene, reliability: Reliability) -> None:
    """A call without an answer is given up after `timeout`."""
    scene.daemon.feed = FEED
    owed = scene.events(5)
    silent = scene.site.faults.add("silent", calls=1, method="read")
    run = scene.start()
    scene.until(lambda: silent.injected, "it is silent")
    owed += scene.events(5)
    measured = scene.finish(run, owed)
    assert scene.times_told("site.failed") == 1
    reliability.row(
        GROUP,
        "No answer at all",
        "a call that the site never answers; `timeout` ends it",
        1,
        *measured,
    )


def test_refused_connections(scene: Scene, reliability: Reliability) -> None:
    """The site may be down when the daemon starts, and at any time after that."""
    scene.daemon.feed = FEED
    owed: list[int] = []
    scene.site.go_down()
    run = scene.start()
    for turn in range(1, 4):
        scene.wait_told("site.failed", turn)
        owed += scene.events(5)
        scene.site.come_back()
        scene.wait_told("site.answers", turn)
        scene.wait_for(owed)
        if turn < 3:
            scene.site.go_down()
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "Connections are refused",
        "the site is down at the start and twice later, while rows are written",
        3,
        *measured,
    )


def test_revoked_key(scene: Scene, reliability: Reliability) -> None:
    """A key that is withdrawn and given back: what happened meanwhile is handed out."""
    scene.daemon.feed = FEED
    run = scene.start()
    owed = scene.events(5)
    scene.wait_for(owed)
    for turn in range(1, 3):
        scene.site.revoke_script(scene.site.script_name)
        owed += scene.events(5)
        scene.wait_told("site.failed", turn)
        assert run.lives()
        scene.site.add_script(scene.site.script_name, scene.site.api_key)
        scene.wait_for(owed)
        scene.wait_told("site.answers", turn)
    measured = scene.finish(run, owed)
    reliability.row(
        GROUP,
        "The script's key is revoked and restored",
        "rows are written while the key is refused",
        2,
        *measured,
    )


def test_proxy_that_breaks_connections(scene: Scene, reliability: Reliability) -> None:
    """All calls go through `http_proxy`, and those it breaks are made again."""
    scene.daemon.feed = FEED
    with forward_proxy() as proxy:
        scene.daemon.site_keys += f'http_proxy = "{proxy.address}"\n'
        run = scene.start()
        owed = scene.events(5)
        scene.wait_for(owed)
        for turn in range(1, 4):
            proxy.breaks = 2
            owed += scene.events(5)
            scene.until(lambda: proxy.broken == 2 * turn, "it breaks")  # noqa: B023 - called within the loop
            scene.wait_for(owed)
        measured = scene.finish(run, owed)
        assert proxy.passed >= scene.site.counts.calls("read") >= 4
    reliability.row(GROUP, "A proxy breaks connections", "calls through `http_proxy`", 6, *measured)


def test_outage_under_load(scene: Scene, reliability: Reliability) -> None:
    """Rows are written all the time, the site goes away for two seconds and comes back."""
    scene.daemon.feed = FEED
    run = scene.start()
    with scene.site.traffic(100) as flow:
        scene.until(lambda: scene.daemon.calls_noted() > 50, "it works")
        scene.site.outage_for(2.0)
        scene.wait_told("site.failed")
        events = flow.events
        scene.wait_told("site.answers")
        assert flow.events > events + 50
    measured = scene.finish(run, scene.site.log.visible_ids())
    reliability.row(
        GROUP,
        "The site is down for 2 s under load",
        "100 rows per second are written in the meantime",
        1,
        *measured,
    )
