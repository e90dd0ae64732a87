"""A lane's worker processes without a daemon: installed plugins, calls, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from installed_packages import Packages
from journal_rows import event_row

from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.store import PluginStore
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.children.launching import Launcher
from sgevents_core.children.messages import Prepared
from sgevents_core.children.sent_plugins import received_plugin
from sgevents_core.children.worker import Worker
from sgevents_core.dispatch.alerting import call_hook
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import LoadedPlugin
from sgevents_core.settings import (
    GroupSettings,
    LaneSettings,
    PluginSettings,
    Secret,
    Settings,
    SiteSettings,
    StateSettings,
)
from sgevents_core.site.health import SiteHealth

LANE = "apart"
NOTES = """
@hookimpl
def on_event(event, ctx):
    with (FOLDER / "calls").open("a") as file:
        file.write(f"{ctx.plugin} {event.id} {ctx.key} {ctx.attempt}\\n")
"""
"""A plugin that writes down its calls."""


class Source(NamedTuple):
    """The row of an event, and where the feed and the journal have it."""

    era: int
    seq: int
    event_id: int
    body: bytes


class WorkerHouse:
    """Plugins of one lane, and a worker process for them.

    Args:
        folder: Where everything lives.
        launcher: Starts the processes.
    """

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.packages = Packages(folder / "site-packages")
        self.packages.folder.mkdir()
        self.tables: dict[str, PluginSettings] = {}
        self.lane_table = LaneSettings(executor="process")
        self.health = SiteHealth()
        self.site = SiteSettings(
            url="http://127.0.0.1:1", script_name="s", api_key=Secret("demo-key-of-the-site")
        )
        self.services: dict[str, Services] = {}
        self.plugins: dict[str, LoadedPlugin] = {}
        self._launcher = launcher
        self._bodies: dict[int, bytes] = {}

    def plugin(self, name: str, text: str, **table: Any) -> None:
        """Install and enable a plugin from its text."""
        head = "import ctypes, os, signal, sys, threading, time\nfrom pathlib import Path\n"
        head += "from sgevents_core import Retry, hookimpl, match\n"
        head += f"FOLDER = Path({str(self.folder)!r})\n"
        self.packages.install_module(name, head + text)
        self.tables[name] = PluginSettings(**{"enabled": True, "group": LANE, **table})

    @property
    def settings(self) -> Settings:
        """The configuration."""
        return Settings(
            path=self.folder / "sgevents.toml",
            site=self.site,
            state=StateSettings(path=self.state),
            groups=(GroupSettings(name=LANE, lane=LANE),),
            lanes={LANE: self.lane_table, "default": LaneSettings()},
            plugins=self.tables,
        )

    @contextmanager
    def working(self, **known: Any) -> Iterator[Worker]:
        """Have a worker while the block lasts."""
        settings = self.settings
        lane = LaneChildren(
            LANE, settings, list(self.tables), launcher=self._launcher, site_key="site", **known
        )
        self.pool = LaneWorkers(lane)
        worker = self.pool.workers[0]
        try:
            prepared = worker.start()
            assert isinstance(prepared, Prepared), prepared
            self.prepared = prepared
            self._receive(prepared, worker, lane)
            yield worker
        finally:
            self.pool.begin_end(shuts_down=True)
            self.pool.end()

    def _receive(self, prepared: Prepared, worker: Worker, lane: LaneChildren) -> None:
        self.plugins = {
            sent.name: received_plugin(sent, worker.call_hook) for sent in prepared.plugins
        }
        self.services = {
            name: Services(
                plugin,
                self.site,
                self.tables[name],
                store=PluginStore(name, {}),
                site_key="site",
                redact=Redactor.of(self.settings),
                site_health=self.health,
                stopping=lane.stopping,
            )
            for name, plugin in self.plugins.items()
        }
        lane.services = self.services
        self.lane = lane

    def request(self, plugin: str, event_id: int = 1, callback: int = 0) -> CallRequest:
        """Return a call of one of a plugin's callbacks."""
        body = self._bodies.setdefault(event_id, _body(event_id))
        return CallRequest(
            self.plugins[plugin].callbacks[callback],
            event_of(body),
            Source(1, event_id, event_id, body),
            self.services[plugin],
        )

    def call(
        self,
        worker: Worker | LaneWorkers,
        plugin: str,
        event_id: int = 1,
        *,
        callback: int = 0,
        limit: float | None = None,
    ) -> CallOutcome:
        """Make a call, and keep its changes of the store if it returned."""
        request = self.request(plugin, event_id, callback)
        outcome = worker.call(request, limit)
        if outcome.error is None and outcome.store_changes:
            self.services[plugin].store.commit(outcome.store_changes)
        if outcome.store_changes is not None:
            request.release_store()
        return outcome

    def hook(self, plugin: str, hook: str, *arguments: object) -> BaseException | None:
        """Call a hook that alerts; return what it raised."""
        services = self.services[plugin]
        context = CallContext(services, None, hook, store=services.store.read_only_view())
        return call_hook(context, services, self.plugins[plugin].hooks, hook, *arguments)

    def start(self, plugin: str) -> None:
        """Call a plugin's `startup`, and keep what it changes in its store."""
        services = self.services[plugin]
        context = CallContext(services, None, "startup")
        assert call_hook(context, services, self.plugins[plugin].hooks, "startup") is None
        services.store.commit(context.end() or {})
        context.release_store()

    def store(self, plugin: str) -> dict[str, Any]:
        """Return what was kept in a plugin's store."""
        return dict(self.services[plugin].store.read_only_view())

    def written(self, name: str) -> str:
        """Return the content of a file that a plugin has written; empty if there is none."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def _body(event_id: int) -> bytes:
    return event_row(event_id, "Shotgun_Task_Change").body


def error_of(outcome: CallOutcome) -> RaisedError:
    """Return what a call raised."""
    assert outcome.error is not None
    return outcome.error


@pytest.fixture(name="launcher", scope="session")
def launcher_fixture() -> Iterator[Launcher]:
    """What starts processes, and ends those that are left."""
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture(name="house")
def house_fixture(
    tmp_path: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> WorkerHouse:
    """A house without plugins."""
    house = WorkerHouse(tmp_path, launcher)
    monkeypatch.syspath_prepend(str(house.packages.folder))
    return house


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
