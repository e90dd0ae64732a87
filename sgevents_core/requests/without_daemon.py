"""Carrying out requests without a daemon: the command itself holds the state's lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from sgevents_core.dispatch.overdue import not_hung
from sgevents_core.dispatch.plugin_starts import start_plugins, stop_plugins
from sgevents_core.dispatch.wiring import lane_of, lanes_of, services_of
from sgevents_core.plugins.loading import Loaded
from sgevents_core.requests import carrying_out as requests
from sgevents_core.requests.request_work import never_enabled
from sgevents_core.settings import Settings
from sgevents_core.site.client import EventLog
from sgevents_core.site.feed import carry_out, rules_of
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.protocols import FeedWriter, LaneWriter
from sgevents_core.state.requests import CALLING_KINDS, Request, RequestAnswer, RequestStep

ALERTS_END_WITHIN: Final = 1.0


def carry_out_alone(settings: Settings, plugin: str, command: str) -> None:
    """Carry out all open requests about a plugin; only that plugin is loaded, if any.

    Args:
        settings: The configuration.
        plugin: The plugin; empty for requests about the feed.
        command: The command, which is named to others who find the state in use.

    Raises:
        StateInUse: A daemon, or another command, holds the state.
        StateError: The state cannot be used.
    """
    folder = settings.state.path
    with closing(StateLock(folder, command)), closing(open_state(folder).writer()) as state:
        fold_registers(folder, state)
        with closing(open_state(folder).requests()) as box:
            waiting = box.waiting(plugin=plugin)
        if not plugin:
            for request in waiting:
                _decide(settings, state, request)
        elif plugin not in state.plugins():
            for request in waiting:
                text = never_enabled(plugin, state.plugins())
                state.answer(RequestStep(request.number, answer=RequestAnswer("refused", text)))
        else:
            _carry_out(settings, plugin, waiting, state)


def _carry_out(settings: Settings, plugin: str, waiting: list[Request], state: LaneWriter) -> None:
    table = settings.plugins.get(plugin)
    calls = any(request.kind in CALLING_KINDS for request in waiting)
    wanted = {plugin: table} if calls and table is not None and table.enabled else {}
    loaded = load_after_trial(
        msgspec.structs.replace(settings, plugins=wanted), find_plugins(settings)
    )
    with _lane(settings, loaded, plugin, state) as lane:
        for request in waiting:
            while not requests.carry_out(request.number, lane, settings.state.path):
                pass


@contextmanager
def _lane(settings: Settings, loaded: Loaded, plugin: str, state: LaneWriter) -> Iterator[Lane]:
    """Make the lane of a plugin, never run; start the plugin, and shut it down at the end."""
    services = services_of(settings, loaded, state)
    ready = start_plugins(loaded, services, state)
    announcer = Announcer()
    folder = settings.state.path
    lanes = lanes_of(settings, ready, services, open_state(folder).lane_writer, announcer)
    lane = lanes[0] if lanes else _empty_lane(folder, plugin, state, announcer)
    lane.stop()  # so that a failing write is an error instead of a wait
    try:
        yield lane
    finally:
        lane.close()
        announcer.close(ALERTS_END_WITHIN)
        stop_plugins(not_hung(ready, lanes), services, state)


def _empty_lane(folder: Path, plugin: str, state: LaneWriter, announcer: Announcer) -> Lane:
    name = state.plugins()[plugin].lane
    own = open_state(folder).lane_writer()
    return lane_of(name, [], own, executor_of=_no_executor, folder=folder, announcer=announcer)


def _no_executor(lane_plugin: LanePlugin, worker: int) -> LaneThread:
    return LaneThread()


def _decide(settings: Settings, state: FeedWriter, request: Request) -> None:
    with closing(EventLog(settings.site, settings.feed.fields)) as log:
        carry_out(log, rules_of(settings.feed), state, request)
