"""Benchmark 6: from the moment a row is visible to its callback, and calls of an idle daemon."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from lean_site import running_lean_site
from measuring import Figure, Scale, median_figure
from simulated_feed import SimulatedFeed
from simulated_site import SimulatedSite
from studio import Studio
from waiting import wait_until

from sgevents_core.settings import FeedSettings
from sgevents_core.site.feed import rules_of

_WAITS: Final = """
    import os, time
    from sgevents_core import hookimpl

    file = os.open({file!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @hookimpl
    def on_event(event, ctx):
        now = time.time()
        shown = event.session_uuid
        wait = now - float(shown) if "." in shown else 0.0
        os.write(file, b"%f\\n" % wait)
"""
"""Notes how long ago an event became visible, 0 for one that was there before."""
_HOUR: Final = 3600.0


def measure_reaction(run_scale: Scale) -> list[Figure]:
    """Benchmark 6: row visible to callback begun, at several rates; calls when idle."""
    figures = []
    for rate in run_scale.event_rates:
        wait_seconds = collect_waits(rate, max(3, round(rate * run_scale.watched_seconds)))
        name = f"row visible to callback begun, {rate} events/s"
        for part, share in (("p50", 0.5), ("p99", 0.99)):
            wait = sorted(wait_seconds)[int(len(wait_seconds) * share)]
            figures.append(median_figure(6, f"{name}, {part}", (wait,), "s"))
    calls = float(count_idle_calls())
    return [*figures, median_figure(6, "calls of the API when idle", (calls,), "an hour")]


def collect_waits(rate: int, rows: int) -> list[float]:
    """Return the seconds from visible to begun for rows that come at a rate, by the defaults."""
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        file = studio.folder / "waits"
        studio.install({"bench_waits.py": _WAITS.format(file=str(file))})

        def lines() -> list[str]:
            return file.read_text().splitlines() if file.exists() else []

        with studio.running():
            wait_until(lines)
            site.add_rows(rows, rate)
            wait_until(lambda: len(lines()) > rows)
        return [float(line) for line in lines()[1:]]


def count_idle_calls() -> int:
    """Return how many calls an hour a feed makes that has had no event for hours, by the defaults.

    In simulated time, with the feed's own code.
    """
    site = SimulatedSite(tells_date=True)
    site.transaction(500)
    feed = SimulatedFeed(site, rules_of(FeedSettings()))
    feed.run(3 * _HOUR)
    before = len(feed.calls)
    feed.run(_HOUR)
    return len(feed.calls) - before
