"""Carrying out requests without a daemon: the command itself holds the state's lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from sgevents_core.calling.making import LaneThread
from sgevents_core.classic.finding import find_plugins
from sgevents_core.crashes.loading_apart import load_after_trial
from sgevents_core.crashes.recovering import fold_registers
from sgevents_core.dispatch.alerting import Announcer
from sgevents_core.dispatch.lane import Lane
from sgevents_core.dispatch.lane_plugin import LanePlugin
from sgevents_core.dispatch.overdue import returned_plugins
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lane_of, lanes_of, services_of
from sgevents_core.plugins.loading import Loaded
from sgevents_core.requests.carrying_out import carry_out
from sgevents_core.requests.request_work import unknown_plugin_reason
from sgevents_core.settings import Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import carry_out_feed_request, rules_of
from sgevents_core.state.held_lane import HeldLane
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import FeedWriter
from sgevents_core.state.requests import CALLING_KINDS, Request, RequestAnswer, RequestStep

ALERT_TIMEOUT: Final = 1.0


def carry_out_here(settings: Settings, plugin_name: str, command_name: str) -> None:
    """Carry out all open requests about a plugin; only that plugin is loaded, if any.

    Args:
        settings: The configuration.
        plugin_name: The plugin; empty for requests about the feed.
        command_name: The command's name, shown to others who find the state in use.

    Raises:
        StateInUse: A daemon, or another command, holds the state.
        StateError: The state cannot be used.
    """
    state_folder = settings.state.path
    with (
        closing(StateLock(state_folder, command_name)),
        closing(open_state(state_folder).writer()) as state,
    ):
        held_lanes = fold_registers(state_folder, state)
        with closing(open_state(state_folder).requests()) as open_requests:
            waiting_requests = open_requests.waiting(plugin_name=plugin_name)
        if not plugin_name:
            for request in waiting_requests:
                _decide_in_feed(settings, state, request)
        elif plugin_name not in state.plugins():
            for request in waiting_requests:
                refusal_text = unknown_plugin_reason(plugin_name, state.plugins())
                state.answer(
                    RequestStep(request.number, answer=RequestAnswer("refused", refusal_text))
                )
        else:
            _carry_out_plugin_requests(settings, plugin_name, waiting_requests, held_lanes)


def _carry_out_plugin_requests(
    settings: Settings,
    plugin_name: str,
    waiting_requests: list[Request],
    held_lanes: Mapping[str, HeldLane],
) -> None:
    table = settings.plugins.get(plugin_name)
    needs_calls = any(request.kind in CALLING_KINDS for request in waiting_requests)
    enabled_tables = (
        {plugin_name: table} if needs_calls and table is not None and table.enabled else {}
    )
    loaded = load_after_trial(
        msgspec.structs.replace(settings, plugins=enabled_tables), find_plugins(settings)
    )
    with _open_lane(settings, loaded, plugin_name, held_lanes) as lane:
        for request in waiting_requests:
            while not carry_out(request.number, lane, settings.state.path):
                pass


@contextmanager
def _open_lane(
    settings: Settings, loaded: Loaded, plugin_name: str, held_lanes: Mapping[str, HeldLane]
) -> Iterator[Lane]:
    """Make the lane of a plugin, never run; start the plugin, and shut it down at the end."""
    state = next(iter(held_lanes.values())).writer
    held_lanes = dict(held_lanes)
    for plugin in loaded.plugins:  # the configuration may have moved it since the last start
        if plugin.lane not in held_lanes:
            held_lanes[plugin.lane] = HeldLane.take(plugin.lane, state)
    services = services_of(settings, loaded, state)
    started_plugins = start_plugins(loaded, services, held_lanes)
    announcer = Announcer()
    state_folder = settings.state.path
    open_writer = open_state(state_folder).lane_writer
    plugin_lanes = lanes_of(
        settings, started_plugins, services, held_lanes, announcer, open_writer=open_writer
    )
    plugin_lane = (
        plugin_lanes[0]
        if plugin_lanes
        else _make_empty_lane(
            state_folder, held_lanes[state.plugins()[plugin_name].lane], announcer
        )
    )
    plugin_lane.stop()  # so that a failing write is an error instead of a wait
    try:
        yield plugin_lane
    finally:
        plugin_lane.close()
        announcer.close(ALERT_TIMEOUT)
        stop_plugins(returned_plugins(started_plugins, plugin_lanes), services, held_lanes)


def _make_empty_lane(state_folder: Path, held_lane: HeldLane, announcer: Announcer) -> Lane:
    return lane_of(
        replace(held_lane, writer=open_state(state_folder).lane_writer()),
        [],
        make_executor=_make_lane_thread,
        state_folder=state_folder,
        announcer=announcer,
    )


def _make_lane_thread(lane_plugin: LanePlugin, worker_number: int) -> LaneThread:
    return LaneThread()


def _decide_in_feed(settings: Settings, state: FeedWriter, request: Request) -> None:
    with closing(EventLog(settings.site, settings.feed.fields)) as event_log:
        carry_out_feed_request(event_log, rules_of(settings.feed), state, request)
