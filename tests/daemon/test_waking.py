"""A signal makes the daemon ask its site at once, and nothing depends on it."""

from __future__ import annotations

from pathlib import Path

from running_daemon import RunningDaemon
from waiting import wait_until

from sgevents_core.sandbox import Sandbox
from sgevents_core.site.follower_values import Rules
from sgevents_core.site.paging import EXPECTING_SECONDS, FIRST_HASTY_INTERVAL, Paging
from sgevents_core.site.questions import Page
from sgevents_core.state.wake_signal import send_wake_signal

PAGE = Page(1, 500, 1)


def test_lost_doubled_and_early_signals(tmp_path: Path) -> None:
    """A daemon that would ask in an hour gets an event at a signal, each once, in order.

    A signal that comes before its row is visible is enough; an event whose signal is lost comes
    with the next one. Signals without an event cost nothing but some calls.
    """
    with Sandbox(project=False, api_key="only-a-demo-key") as site:
        daemon = RunningDaemon(tmp_path, site)
        daemon.feed = 'poll_interval = "1h"\nidle_interval = "1h"\nstart = 1\n'
        daemon.install_writer("writer")
        first = site.event("Shotgun_Task_Change")
        state = tmp_path / "state"
        with daemon.running() as process:
            daemon.wait_for([first], "writer")
            late = site.event("Shotgun_Task_Change")
            wait_until(lambda: send_wake_signal(state), what="it takes signals")
            daemon.wait_for([late], "writer")
            lost = site.event("Shotgun_Task_Change")
            other = site.event("Shotgun_Task_Change")
            for _ in range(1000):
                assert send_wake_signal(state)
            daemon.wait_for([lost, other], "writer")
            assert daemon.stop(process) == 0
        assert daemon.events_of("writer") == [first, late, lost, other]
        assert not send_wake_signal(state)


def test_rows_that_are_not_visible_yet_are_looked_for_hastily() -> None:
    """For two seconds, ever less often; then as before, and at once as before when they come."""
    paging = Paging(Rules(poll_interval=60.0))
    paging.take_page(PAGE, 0.0, is_full=False, has_fresh=True, has_news=True)
    assert paging.next_at == 60.0
    paging.expect_news(10.0)
    asked_at = []
    while paging.next_at < 60.0:
        asked_at.append(paging.next_at)
        paging.take_page(PAGE, paging.next_at, is_full=False, has_fresh=False, has_news=False)
    assert asked_at[0] == 10.0
    assert asked_at[1] == 10.0 + FIRST_HASTY_INTERVAL
    assert len(asked_at) <= 7
    assert asked_at[-1] >= 10.0 + EXPECTING_SECONDS - 0.6
    paging.expect_news(100.0)
    paging.take_page(PAGE, 100.0, is_full=False, has_fresh=True, has_news=True)
    assert paging.next_at == 160.0
