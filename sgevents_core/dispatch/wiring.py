"""Assemble lanes, and the services that each plugin's calls share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict
from urllib.parse import urlsplit

from sgevents_core.calling.context import Services
from sgevents_core.calling.event_records import EventRecords
from sgevents_core.calling.making import Executor
from sgevents_core.calling.own_thread import AttributeLane, ignore_lane, worker_label
from sgevents_core.calling.store import PluginStore
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.batch_clock import HOST_CLOCK, BatchClock
from sgevents_core.dispatch.divided_lane import DividedLane
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin, executor_of, lane_plugin_of
from sgevents_core.dispatch.worker_executors import MakeExecutor
from sgevents_core.errors import StateDamaged
from sgevents_core.observe.observers import CallObserver
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings
from sgevents_core.site.health import SiteHealth
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.keys import CallKey
from sgevents_core.state.progress import Progress
from sgevents_core.state.protocols import LaneWriter, Reader


def services_of(
    settings: Settings,
    loaded_plugins: Loaded,
    state_reader: Reader,
    services_class: type[Services] = Services,
    *,
    site_health: SiteHealth | None = None,
    stopping: threading.Event | None = None,
    event_records: EventRecords | None = None,
) -> dict[str, Services]:
    """Return the services that each plugin's calls share, by plugin name, in call order.

    Args:
        settings: The configuration.
        loaded_plugins: The plugins.
        state_reader: The state with their stores.
        services_class: The class of the values.
        site_health: The health of the site; None if nothing monitors it.
        stopping: Set once a stop or a reload waits for running calls.
        event_records: The records of events that plugins have read; by default, none yet.
    """
    site_key = urlsplit(settings.site.url).netloc
    redact_secrets = Redactor.of(settings)
    services_by_name = {
        plugin.name: services_class(
            plugin,
            settings.site,
            settings.plugins[plugin.name],
            store=_open_store(plugin.name, state_reader),
            site_key=site_key,
            redact=redact_secrets,
            site_health=site_health,
            stopping=stopping,
        )
        for plugin in loaded_plugins.plugins
    }
    event_records = EventRecords() if event_records is None else event_records
    for services in services_by_name.values():
        services.event_records = event_records
    return services_by_name


def _open_store(plugin_name: str, state_reader: Reader) -> PluginStore:
    """Return a plugin's store; a damaged one keeps only that plugin from starting."""
    try:
        return PluginStore(plugin_name, state_reader.store(plugin_name))
    except StateDamaged as error:
        return PluginStore(plugin_name, {}, damage=f"its store is damaged: {error.reason}")


def lanes_of(
    settings: Settings,
    plugins: Sequence[LoadedPlugin],
    services: Mapping[str, Services],
    held_lanes: Mapping[str, HeldLane],
    announcer: Announcer,
    *,
    open_writer: Callable[[], LaneWriter],
    attribute_lane: AttributeLane = ignore_lane,
    scripts: Scripts | None = None,
    observers: Sequence[CallObserver] = (),
    executors: Mapping[str, Executor] = MappingProxyType({}),
    clock: BatchClock = HOST_CLOCK,
    lane_names: Sequence[str] = (),
) -> list[Lane]:
    """Return the lanes that have plugins, ready to run, each with its plugins in call order.

    Those of `lane_names` are returned even if they have none.

    `held_lanes` are the lanes, taken, and `open_writer` opens the connection of each;
    `attribute_lane` is called with each plugin thread and its lane, `scripts` knows the names of
    the site's scripts, `observers` are notified of each call; `executors` make the calls of the
    lanes that have worker processes, by the lane's name; batches become due by `clock`.
    """
    lanes: list[Lane] = []
    for lane_name in dict.fromkeys([*(plugin.lane for plugin in plugins), *lane_names]):
        lane_writer = open_writer()
        plugin_records = lane_writer.plugins()
        lane_plugins = [
            lane_plugin_of(
                plugin,
                plugin_records[plugin.name],
                services[plugin.name],
                settings,
                attribute_lane=attribute_lane,
                executor=executors.get(lane_name),
            )
            for plugin in plugins
            if plugin.lane == lane_name
        ]
        lane_table = settings.lanes.get(lane_name)
        lanes.append(
            lane_of(
                replace(held_lanes[lane_name], writer=lane_writer),
                lane_plugins,
                worker_count=1 if lane_table is None else lane_table.workers,
                make_executor=partial(
                    _make_executor, lane_name, attribute_lane, executors.get(lane_name)
                ),
                state_folder=settings.state.path,
                announcer=announcer,
                scripts=scripts,
                observers=observers,
                clock=clock,
            )
        )
    return lanes


def lane_of(
    held_lane: HeldLane,
    lane_plugins: Sequence[LanePlugin],
    *,
    make_executor: MakeExecutor,
    worker_count: int = 1,
    state_folder: Path,
    announcer: Announcer,
    scripts: Scripts | None = None,
    observers: Sequence[CallObserver] = (),
    clock: BatchClock = HOST_CLOCK,
) -> Lane:
    """Return a lane that continues where the ledger says, divided into strands as it was there.

    Args:
        held_lane: The lane, taken, with a connection of its own to the journal and the ledger.
        lane_plugins: Its plugins, in call order.
        make_executor: Returns a worker's executor for the calls of a plugin.
        worker_count: How many workers it has if it is divided.
        state_folder: Where its register is kept.
        announcer: Reports failures to people and plugins.
        scripts: The names of the site's scripts; by default, guessed from rows.
        observers: Notified of each call.
        clock: The clock by which batches become due.
    """
    lane_writer = held_lane.writer
    lane_arguments: _LaneArguments = {
        "attempts_by_call": lane_writer.attempts(),
        "state_folder": state_folder,
        "announcer": announcer,
        "scripts": scripts,
        "observers": observers,
        "clock": clock,
    }
    strand_places = lane_writer.lane_places(held_lane.name)
    if strand_places is None:
        progress = lane_writer.lane_progress(held_lane.name) or Progress(lane_writer.end())
        return Lane(held_lane, lane_plugins, progress=progress, **lane_arguments)
    return DividedLane(
        held_lane,
        lane_plugins,
        strand_places=strand_places,
        worker_count=worker_count,
        make_executor=make_executor,
        **lane_arguments,
    )


class _LaneArguments(TypedDict):
    """The arguments that every lane gets."""

    attempts_by_call: dict[tuple[CallKey, int], int]
    state_folder: Path
    announcer: Announcer
    scripts: Scripts | None
    observers: Sequence[CallObserver]
    clock: BatchClock


def _make_executor(
    lane_name: str,
    attribute_lane: AttributeLane,
    shared_executor: Executor | None,
    lane_plugin: LanePlugin,
    worker_number: int,
) -> Executor:
    """Return a worker's executor for a plugin's calls: the lane's shared one, if there is one."""
    return shared_executor or executor_of(
        lane_plugin, worker_label(lane_name, worker_number), attribute_lane
    )
