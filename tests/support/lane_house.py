"""Lanes over a real state, with plugins made in the test: started, fed, stopped, started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from journal_rows import event_row, grow
from waiting import wait_until

from sgevents_core.batching import BatchRules
from sgevents_core.choices import OnError
from sgevents_core.crashes.recovering import recover
from sgevents_core.crashes.syncing import ProgressSyncer
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.overdue import returned_plugins
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lanes_of, services_of
from sgevents_core.events import Event
from sgevents_core.filters import Match
from sgevents_core.observe.event_loops import running_in_loop
from sgevents_core.observe.observers import CallObserver
from sgevents_core.plugins.callback import Callback
from sgevents_core.plugins.implementing import Registry
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.plugins.plugin_status import PluginStatus, Status
from sgevents_core.plugins.signatures import is_async_function
from sgevents_core.settings import (
    LaneSettings,
    PluginSettings,
    Secret,
    Settings,
    SiteSettings,
    StateSettings,
)
from sgevents_core.site.health import SiteHealth
from sgevents_core.state.opening import kept_in_memory, open_state
from sgevents_core.state.plugin_record import PluginRecord
from sgevents_core.state.steps import CallDeaths

Function = Callable[[Event, Any], object]


@dataclass
class Plugin:
    """A plugin as the test wants it; may be changed between two runs."""

    name: str
    callbacks: list[Callback]
    hooks: dict[str, Callable[..., Any]] = field(default_factory=dict)
    lane: str = "default"
    table: PluginSettings = field(default_factory=lambda: PluginSettings(enabled=True))
    broken: bool = False

    def loaded(self) -> LoadedPlugin:
        """The plugin as the loader gives it."""
        return LoadedPlugin(
            name=self.name,
            group="default",
            lane=self.lane,
            distribution=f"dist-{self.name}",
            version="1.0",
            plugin=self,
            callbacks=tuple(self.callbacks),
            hooks=self.hooks,
        )

    def status(self) -> PluginStatus:
        """Its status as the loader gives it."""
        status: Status = "enabled" if self.table.enabled else "disabled"
        if self.broken:
            status = "broken"
        return PluginStatus(name=self.name, status=status, group="default", lane=self.lane)


@dataclass
class House:
    """A state, and plugins in call order.

    Args:
        folder: The state's folder.
        site: The site and its credentials, for `ctx.sg`.
    """

    folder: Path
    site: SiteSettings = field(
        default_factory=lambda: SiteSettings(
            url="http://127.0.0.1:1", script_name="sgevents", api_key=Secret("demo-key")
        )
    )
    plugins: dict[str, Plugin] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """Each call so far: `event plugin.callback`, with `#attempt` where it was not the first."""
    lane_settings: dict[str, LaneSettings] = field(default_factory=dict)
    """Tables of lanes in the config; the other lanes have none."""
    lanes: list[Lane] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    syncing: ProgressSyncer | None = None
    """The syncer of progress to the disk, while lanes run; it has no thread here."""
    observers: list[CallObserver] = field(default_factory=list)
    """Notified of each call, after the lane's own observers."""
    around_lanes: Callable[[Callable[[], None]], None] = lambda run: run()
    """Runs the body of each lane's thread."""
    registry: Registry = field(default_factory=Registry)
    health: SiteHealth = field(default_factory=SiteHealth)
    """The health of the site; the test plays the feed."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set once a stop waits for running calls."""

    def __post_init__(self) -> None:
        self.state = open_state(self.folder).writer()

    def plugin(
        self,
        name: str,
        *callbacks: str | Function,
        match: Match | None = None,
        on_error: OnError | None = None,
        lane: str = "default",
        hooks: Mapping[str, Callable[..., Any]] | None = None,
        batch: BatchRules | None = None,
        **table: Any,
    ) -> Plugin:
        """Add a plugin after those added before, or replace one.

        Args:
            name: Its name.
            callbacks: Functions of `(event, ctx)`, or names of callbacks that do nothing.
            match: The filter of all of them.
            on_error: What all of them do when they fail, instead of what the plugin does.
            lane: Its lane.
            hooks: Its other hooks.
            batch: The rules of their batches, if they take any.
            table: Keys of its table in the config.
        """
        made = [
            replace(self._callback(name, one, match or Match(), on_error), batch=batch)
            for one in callbacks
        ]
        table = {"enabled": True, **table}
        plugin = Plugin(name, made, dict(hooks or {}), lane, PluginSettings(**table))
        self.plugins[name] = plugin
        return plugin

    def _callback(
        self, plugin: str, function: str | Function, match: Match, on_error: OnError | None
    ) -> Callback:
        name = function if isinstance(function, str) else function.__name__
        is_async = not isinstance(function, str) and is_async_function(function)
        run = running_in_loop(function) if is_async and callable(function) else function

        def called(event: Event, ctx: Any) -> None:
            again = f"#{ctx.attempt}" if ctx.attempt > 1 else ""
            ids = "+".join(str(one.id) for one in event) if isinstance(event, list) else event.id
            self.calls.append(f"{ids} {plugin}.{name}{again}")
            if not isinstance(run, str):
                run(event, ctx)

        return Callback(
            plugin=plugin,
            name=f"{plugin}:{name}",
            hook=None,
            match=match,
            function=called,
            on_error=on_error,
            is_async=is_async,
        )

    def events(self, *ids: int, kind: str = "Shotgun_Task_Change", **more: Any) -> None:
        """Append events to the journal."""
        grow(self.state, [event_row(event_id, kind, **more) for event_id in ids])
        for lane in self.lanes:
            lane.wake()

    @contextmanager
    def running(self, errors: list[BaseException] | None = None) -> Iterator[House]:
        """Run the lanes while the block lasts, then stop them in order.

        Args:
            errors: Takes what ended lanes, which is raised otherwise.
        """
        assert not any(thread.is_alive() for thread in self.threads), "its lanes run already"
        state = open_state(self.folder).writer()
        settings, loaded = self.settings(), self.loaded()
        held_lanes = recover(settings, loaded, state)
        self.health = SiteHealth()
        self.stopping.clear()
        services = services_of(
            settings, loaded, state, site_health=self.health, stopping=self.stopping
        )
        plugins = start_plugins(loaded, services, held_lanes)
        announcer = Announcer([(services[one.name], one.hooks) for one in plugins])
        self.lanes = lanes_of(
            settings,
            plugins,
            services,
            held_lanes,
            announcer,
            open_writer=open_state(self.folder).lane_writer,
            observers=self.observers,
        )
        for lane in self.lanes:
            self.health.on_change(lane.wake)
        self.threads = [
            threading.Thread(target=self.around_lanes, args=(lane.run,)) for lane in self.lanes
        ]
        to_disk = open_state(self.folder).writer()
        presence = open_state(self.folder).presence()
        self.syncing = ProgressSyncer(to_disk, presence, self.lanes)
        for thread in self.threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop()
            for thread in self.threads:
                thread.join()
            announcer.close(5.0)
            stop_plugins(returned_plugins(plugins, self.lanes), services, held_lanes)
            state.close()
            to_disk.close()
            presence.close()
        for lane in self.lanes:
            if lane.error is not None and errors is None:
                raise lane.error
            if lane.error is not None and errors is not None:
                errors.append(lane.error)

    def run(self) -> None:
        """Run the lanes until everything that can be handled is."""
        with self.running():
            self.settle()

    def site_is_down(self) -> None:
        """Record, as the feed would, that the site does not answer."""
        self.health.failed(time.monotonic(), time.monotonic())

    def site_answers(self) -> None:
        """Record, as the feed would, that the site answers."""
        self.health.answered(time.monotonic())

    def deaths(self) -> list[CallDeaths]:
        """The calls in which the process died, as recorded."""
        with closing(open_state(self.folder).reader()) as reader:
            return reader.deaths()

    def sync(self) -> None:
        """Sync progress to the disk, as the daemon does twice a second."""
        assert self.syncing is not None
        self.syncing.sync_once()

    def settle(self) -> None:
        """Wait until lanes and active plugins have handled all events, or have stopped."""
        end = self.state.end()
        pairs = list(zip(self.lanes, self.threads, strict=True))
        wait_until(
            lambda: all(lane.caught_up(end) or not thread.is_alive() for lane, thread in pairs)
        )

    def stop(self) -> None:
        """Stop the lanes after the running callback; may be called from a callback."""
        self.stopping.set()
        for lane in self.lanes:
            lane.stop()

    def records(self) -> dict[str, PluginRecord]:
        """What the ledger says of the plugins."""
        return self.state.plugins()

    def settings(self) -> Settings:
        """The configuration, with the plugins as they are now."""
        lanes = {plugin.lane: LaneSettings() for plugin in self.plugins.values()}
        return Settings(
            path=self.folder / "sgevents.toml",
            site=self.site,
            state=StateSettings(path=self.folder),
            lanes={"default": LaneSettings(), **lanes, **self.lane_settings},
            plugins={name: plugin.table for name, plugin in self.plugins.items()},
        )

    def loaded(self) -> Loaded:
        """The plugins as the loader gives them."""
        usable = [one for one in self.plugins.values() if one.table.enabled and not one.broken]
        return Loaded(
            plugins=tuple(one.loaded() for one in usable),
            statuses=tuple(one.status() for one in self.plugins.values()),
            registry=self.registry,
        )


@pytest.fixture(name="house")
def house_fixture(tmp_path: Path) -> Iterator[House]:
    """A state on a disk without events, and no plugins yet."""
    with opened_house(tmp_path) as opened:
        yield opened


@pytest.fixture(name="house")
def memory_house_fixture(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """The same with its state in memory, except in tests marked with `disk`."""
    on_disk = request.node.get_closest_marker("disk") is not None
    with nullcontext() if on_disk else kept_in_memory(tmp_path), opened_house(tmp_path) as opened:
        yield opened


@contextmanager
def opened_house(folder: Path) -> Iterator[House]:
    """Open a house and close it."""
    house = House(folder)
    try:
        yield house
    finally:
        house.state.close()


def without(calls: Sequence[str], *plugins: str) -> list[str]:
    """The calls of all other plugins."""
    return [call for call in calls if call.split()[1].partition(".")[0] not in plugins]


def only(calls: Sequence[str], *plugins: str) -> list[str]:
    """The calls of some plugins."""
    return [call for call in calls if call not in without(calls, *plugins)]


def raising(error: BaseException | type[BaseException], on: Collection[int] = ()) -> Function:
    """A callback that raises, for all events or for those `on`."""

    def fails(event: Event, ctx: Any) -> None:
        if not on or event.id in on:
            raise error

    return fails
