"""A busy studio for pages: a running daemon with a failing, a hanging and a paused plugin."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_daemon import RunningDaemon
from served_console import ServedConsole, served_console
from waiting import wait_until

from sgevents_core.reading.overview import Overview, read_overview
from sgevents_core.sandbox import Sandbox
from sgevents_core.state.call_figures import CallFigure, FeedFigure, MinuteFigures, bucket_of
from sgevents_core.state.opening import open_state

HOSTILE_ERROR = "<script>alert('no')</script> \x1b[31mred \u202egnp.exe " + "long" * 5000
FAILING = f"""
    from sgevents_core import hookimpl

    @hookimpl
    def on_change(event, ctx):
        if event.id % 2:
            raise ValueError("no delivery folder for event " + str(event.id))
        raise LookupError({HOSTILE_ERROR!r})
"""
HANGING = """
    import threading
    from sgevents_core import hookimpl

    @hookimpl
    def on_new(event, ctx):
        threading.Event().wait()
"""
PAUSED = """
    from sgevents_core import hookimpl

    @hookimpl
    def on_event(event, ctx):
        raise PermissionError("the archive is read-only")
"""
WORKING = """
    from sgevents_core import hookimpl, match

    @hookimpl
    def on_event(event, ctx):
        ctx.store["newest"] = event.id

    @hookimpl(specname="on_change")
    @match(entity_type="Task", attribute="sg_status_list")
    def note_status(event, ctx):
        pass
"""
EVENTS = 120
CALLED = (
    ("notes", "on_event", 0.0004),
    ("notes", "note_status", 0.002),
    ("failing", "on_change", 0.011),
)
"""Plugins, their callbacks, and the seconds of a usual call."""


@dataclass(frozen=True)
class BusyScene:
    """The site, the daemon that follows it, and the console that shows it."""

    site: Sandbox
    daemon: RunningDaemon
    console: ServedConsole
    slug: str = "127-0-0-1"

    @property
    def root(self) -> str:
        """The address of the site's first page."""
        return f"{self.console.address}/sites/{self.slug}/"

    def read_overview(self) -> Overview | None:
        """Read the state as it is now; None while the daemon creates it."""
        names = frozenset({"failing", "hanging", "archive", "notes"})
        return read_overview(self.daemon.folder / "state", names)

    def state_of(self, plugin_name: str) -> str:
        """Return the state of a plugin as it is now."""
        overview = self.read_overview()
        plugins = overview.plugins if overview else ()
        return next((plugin.state for plugin in plugins if plugin.name == plugin_name), "")


def fill_last_hour(state_folder: Path) -> None:
    """Record figures of the last hour, as a daemon would have that ran all the time."""
    now = int(time.time()) // 60 * 60
    state_folder.mkdir()
    calls, feed = [], []
    for minute in range(1, 61):
        load = int(120 + 80 * math.sin(minute / 6) + 25 * math.sin(minute))
        starts_at = now - 60 * minute
        feed.append(
            FeedFigure(starts_at, load, load // 8, max(2.0 + 1.5 * math.cos(minute / 9), 0))
        )
        for plugin, callback, seconds in CALLED:
            buckets = {bucket_of(seconds): load, bucket_of(seconds * (3 + minute % 7)): 3}
            failures = load // 9 if plugin == "failing" else 0
            calls.append(
                CallFigure(starts_at, plugin, f"{plugin}:{callback}", load + 3, failures, buckets)
            )
    with closing(open_state(state_folder).writer()) as state:
        state.record_figures(MinuteFigures(tuple(calls), tuple(feed)), now)


@contextmanager
def busy_scene(folder: Path) -> Iterator[BusyScene]:
    """Run everything while the block lasts; each plugin is in its trouble already."""
    with Sandbox(project=True, events=EVENTS) as site:
        daemon = RunningDaemon(folder, site)
        daemon.groups("studio", "slow")
        daemon.install("notes", WORKING, "studio")
        daemon.install("failing", FAILING, "studio", "pause_after = 100000")
        daemon.install("archive", PAUSED, "studio", 'on_error = "pause"\nmax_attempts = 1')
        daemon.install("hanging", HANGING, "slow", 'timeout = "300ms"')
        daemon.log = '[lanes.slow]\n[console]\nlisten = "127.0.0.1:0"\n'
        daemon.log += 'time_zone = "America/Vancouver"\n'
        daemon.write_config()
        config = daemon.config.read_text(encoding="utf-8")
        config = config.replace('name = "slow"\n', 'name = "slow"\nlane = "slow"\n', 1)
        daemon.config.write_text(config, encoding="utf-8")
        fill_last_hour(folder / "state")
        with (
            daemon.started(),
            served_console(daemon.config, environment=daemon.environment()) as console,
        ):
            scene = BusyScene(site, daemon, console)
            wait_until(lambda: _is_in_trouble(scene), what="every plugin is in its trouble")
            yield scene


def _is_in_trouble(scene: BusyScene) -> bool:
    overview = scene.read_overview()
    if overview is None:
        return False
    states = {plugin.name: plugin.state for plugin in overview.plugins}
    letters = {plugin.name: plugin.dead_letters for plugin in overview.plugins}
    is_stuck = states.get("archive") == "paused" and states.get("hanging") == "held"
    return is_stuck and letters.get("failing", 0) > 5
