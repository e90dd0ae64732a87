"""Benchmark 6: from the moment a row is visible to its callback, and calls of an idle daemon."""

from __future__ import annotations

import hashlib
import hmac
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection
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
_HOOK_SECRET: Final = "only-a-demo-secret"
_AT_ONCE: Final = 1e6
"""Rows a second of a site that shows one at once."""
_APART: Final = 0.3
"""Seconds between two webhooks: more than a daemon takes between two signals."""


def measure_reaction(run_scale: Scale) -> list[Figure]:
    """Benchmark 6: row visible to callback begun, at several rates; calls when idle."""
    figures = []
    for rate in run_scale.event_rates:
        wait_seconds = collect_waits(rate, max(3, round(rate * run_scale.watched_seconds)))
        name = f"row visible to callback begun, {rate} events/s"
        for part, share in (("p50", 0.5), ("p99", 0.99)):
            wait = sorted(wait_seconds)[int(len(wait_seconds) * share)]
            figures.append(median_figure(6, f"{name}, {part}", (wait,), "s"))
    woken_seconds = collect_woken_waits(max(3, round(run_scale.watched_seconds)))
    name = "row visible to callback begun, woken by a webhook"
    for part, share in (("p50", 0.5), ("p99", 0.99)):
        wait = sorted(woken_seconds)[int(len(woken_seconds) * share)]
        goal = "<= 0.1" if part == "p50" else ""
        figures.append(median_figure(6, f"{name}, {part}", (wait,), "s", goal))
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


def collect_woken_waits(rows: int) -> list[float]:
    """Return the seconds from visible to begun for rows that a webhook follows, one after another.

    The webhook comes to a console in a process of its own, which checks its signature; the daemon
    would ask the site in a minute.
    """
    with tempfile.TemporaryDirectory() as name, running_lean_site(1) as site:
        studio = Studio(Path(name) / "studio", site.url)
        file = studio.folder / "waits"
        studio.install({"bench_waits.py": _WAITS.format(file=str(file))})
        studio.feed = 'start = 1\npoll_interval = "1m"\nidle_interval = "1m"\n'
        studio.tables += f'[console]\nwebhook_secret = "{_HOOK_SECRET}"\n'

        def lines() -> list[str]:
            return file.read_text().splitlines() if file.exists() else []

        with studio.running(), _running_console(studio) as address:
            wait_until(lines)
            for number in range(rows):
                site.add_rows(1, _AT_ONCE)
                _send_webhook(address)
                wait_until(partial(_has_more, lines, number + 1))
                time.sleep(_APART)
        return [float(line) for line in lines()[1:]]


def _has_more(read_lines: Callable[[], list[str]], count: int) -> bool:
    return len(read_lines()) > count


@contextmanager
def _running_console(studio: Studio) -> Iterator[str]:
    """Run a console of a studio; yield its host and port."""
    output = studio.folder / "console.txt"
    with output.open("wb") as file:
        options = ("--listen", "127.0.0.1:0", "-c", str(studio.config))
        process = studio.command("console", *options, output=file.fileno())
    try:
        wait_until(lambda: "The console is at" in output.read_text())
        yield output.read_text().partition("http://")[2].split()[0].split("/")[0]
    finally:
        process.terminate()
        process.wait()


def _send_webhook(address: str) -> None:
    body = b'{"data": {"event_type": "Shotgun_Task_Change"}}'
    signature = hmac.new(_HOOK_SECRET.encode(), body, hashlib.sha1).hexdigest()
    connection = HTTPConnection(address)
    connection.request("POST", "/hooks/flow", body, {"X-SG-Signature": f"sha1={signature}"})
    assert connection.getresponse().status == 204
    connection.close()


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
