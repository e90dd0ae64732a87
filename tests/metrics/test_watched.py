"""Whether a daemon is alive and ready, and what asking costs."""

from __future__ import annotations

import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import PATIENCE

from sgevents_core.metrics import watched
from sgevents_core.metrics.monitoring import HttpMonitoring
from sgevents_core.metrics.opening import NoMonitoring, open_monitoring
from sgevents_core.metrics.watched import feed_lag, unready_reason, unwell_reason
from sgevents_core.observe.lasting_failure import LastingFailure
from sgevents_core.observe.liveness import LIVENESS_MARGIN, Liveness
from sgevents_core.settings import ListenAddress, Settings, read_settings
from sgevents_core.site.feed_counts import FeedCounts
from sgevents_core.site.questions import Page, PageRange
from sgevents_core.state.feed_values import FeedState

CONFIG = """
[site]
url = "https://studio.example"
script_name = "s"
api_key = "only-a-demo-key"
"""
PAGE = Page(1, 500, 1)


def settings_in(folder: Path, more: str = "") -> Settings:
    """Return the settings of a configuration in a folder."""
    return read_settings(CONFIG + more, folder / "sgevents.toml")


def parts_of(counts: FeedCounts, **changed: Any) -> Any:
    """Return the parts of a run, as far as health goes."""
    state = FeedState(anchor_id=7, anchor_at=int(time.time()) - 5000)
    feed = SimpleNamespace(counts=counts, state=state)
    well = {
        "find_feed": lambda: feed,
        "liveness": Liveness(["feed"]),
        "stopping": threading.Event(),
        "state_trouble": lambda: None,
    }
    return SimpleNamespace(**(well | changed))


def counts_after(*answers: Page | PageRange, asked_at: float, waits: bool = True) -> FeedCounts:
    """Return the counts of a feed that asked at a moment, in monotonic seconds."""
    counts = FeedCounts()
    for call in answers:
        counts.note_answer(call, asked_at)
    if waits:
        counts.note_wait()
    return counts


def test_a_feed_that_waits_is_as_far_behind_as_its_last_question_is_ago() -> None:
    """Whatever the newest event's age: a log may be quiet for days."""
    asked_at = time.monotonic() - 3
    lag = feed_lag(parts_of(counts_after(PAGE, asked_at=asked_at)).find_feed())
    assert lag is not None
    assert 3 <= lag < 100


def test_a_feed_that_catches_up_is_as_far_behind_as_what_it_reads() -> None:
    """It has not had everything yet, and the age of what it reads is what people wait for."""
    parts = parts_of(counts_after(PAGE, asked_at=time.monotonic(), waits=False))
    lag = feed_lag(parts.find_feed())
    assert lag is not None
    assert 5000 <= lag < 5100
    assert unready_reason(parts, 120.0).endswith("seconds behind the site")
    assert unready_reason(parts, 6000.0) == ""


def test_a_daemon_is_not_ready_before_it_works_and_once_it_stops() -> None:
    """Nor while it cannot write, nor before the site has answered."""
    asked = counts_after(PAGE, asked_at=time.monotonic())
    assert unready_reason(parts_of(asked), 120.0) == ""
    assert unready_reason(None, 120.0) == "the daemon starts"
    never = parts_of(FeedCounts())
    never.find_feed().state = None
    assert unready_reason(never, 120.0) == "the site has not answered yet"
    full = parts_of(asked, state_trouble=lambda: LastingFailure("disk full", 0.0))
    assert unready_reason(full, 120.0) == "nothing can be written to the state"
    ending = parts_of(asked)
    ending.stopping.set()
    assert unready_reason(ending, 120.0) == "the daemon stops"


def test_only_what_a_restart_mends_is_no_longer_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that hangs, or a main thread that does not turn; not a daemon that starts."""
    assert unwell_reason(None) == ""
    parts = parts_of(FeedCounts())
    assert unwell_reason(parts) == ""
    now = time.monotonic()
    parts.liveness.hanging_loops(now)
    assert unwell_reason(parts) == ""
    monkeypatch.setattr(watched, "TICK_LIMIT", -1.0)
    assert unwell_reason(parts) == "the main thread hangs"
    parts.liveness.hanging_loops(now + LIVENESS_MARGIN + 1)
    assert "hangs" in unwell_reason(parts)


def test_nothing_listens_unless_it_is_configured(tmp_path: Path) -> None:
    """And nothing counts calls then."""
    monitoring = open_monitoring(settings_in(tmp_path))
    assert isinstance(monitoring, NoMonitoring)
    assert monitoring.call_counts == ()


def test_a_hundred_scrapes_cost_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are answered, from figures that were read once; before the run, there are few."""
    settings = settings_in(tmp_path)
    monitoring = HttpMonitoring(settings, ListenAddress("127.0.0.1", 0))
    readings: list[float] = []
    exposition = monitoring._daemon_figures.exposition

    def counted_exposition() -> bytes:
        readings.append(time.monotonic())
        return exposition()

    monkeypatch.setattr(monitoring._daemon_figures, "exposition", counted_exposition)
    address = f"http://{monitoring._answering_server.address}/metrics"

    def scrape(_: int) -> bytes:
        with urllib.request.urlopen(address, timeout=PATIENCE) as response:
            return bytes(response.read())

    began_at = time.monotonic()
    with closing(monitoring), ThreadPoolExecutor(20) as scrapers:
        answers = list(scrapers.map(scrape, range(100)))
        took = time.monotonic() - began_at
    assert all(b"sgevents_ready 0.0" in answer for answer in answers)
    assert len(readings) <= 1 + took
