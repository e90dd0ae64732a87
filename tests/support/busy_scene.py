"""A busy studio for pages: a running daemon with a failing, a hanging and a paused plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from running_daemon import RunningDaemon
from served_console import ServedConsole, served_console
from waiting import wait_until

from sgevents_core.reading.overview import Overview, read_overview
from sgevents_core.sandbox import Sandbox

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

    def overview(self) -> Overview:
        """Read the state as it is now."""
        names = frozenset({"failing", "hanging", "archive", "notes"})
        overview = read_overview(self.daemon.folder / "state", names)
        assert overview is not None
        return overview


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
        with (
            daemon.started(),
            served_console(daemon.config, environment=daemon.environment()) as console,
        ):
            scene = BusyScene(site, daemon, console)
            wait_until(lambda: _is_in_trouble(scene), what="every plugin is in its trouble")
            yield scene


def _is_in_trouble(scene: BusyScene) -> bool:
    state_folder = scene.daemon.folder / "state"
    if not (state_folder / "now.json").exists():
        return False
    states = {plugin.name: plugin.state for plugin in scene.overview().plugins}
    letters = {plugin.name: plugin.dead_letters for plugin in scene.overview().plugins}
    is_stuck = states.get("archive") == "paused" and states.get("hanging") == "held"
    return is_stuck and letters.get("failing", 0) > 5
