"""Worker processes in simulated time: they die, hang and grow as a seed says.

`Worker` and its pool are the real ones, and so are the messages and the `ctx` in the process; the
process itself is a simulated thread, which ends with the daemon.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from mortal_process import Machine
from simulated_threads import ProcessEnded, SimulatedQueue, SimulatedThread, SimulatedThreads

from sgevents_core.calling.batches import bind_events
from sgevents_core.calling.journal_events import event_of
from sgevents_core.calling.making import CallRequest, make_call
from sgevents_core.children import (
    child_calls,
    failed_calls,
    lane_workers,
    worker,
    worker_process,
)
from sgevents_core.children import replies as worker_replies
from sgevents_core.children.child_calls import ChildContext, ChildServices, ChildStore, StoreGrants
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.lane_workers import LaneWorkers
from sgevents_core.children.messages import (
    CallEnded,
    CallWanted,
    End,
    Prepare,
    Prepared,
    SiteReport,
    StoreGranted,
    ToChild,
    ToDaemon,
    decode_to_daemon,
    encode,
)
from sgevents_core.children.process import ChildDeath
from sgevents_core.children.sent_plugins import received_plugin, sent_plugin
from sgevents_core.observe.redaction import Redactor
from sgevents_core.plugins.loading import Loaded, LoadedPlugin
from sgevents_core.scripts import Scripts
from sgevents_core.settings import Settings

START_SECONDS = 0.3
"""Seconds that the start of a process takes."""
MAX_MEMORY = 400_000_000
"""Bytes beyond which a process is replaced between two events."""
LEAK_BYTES = 500_000_000
NO_ROOM_FOR = 0.02
"""Share of processes that are killed from outside while they start."""


class SimulatedChild:
    """One worker process, in the place of `Child`.

    Args:
        house: All worker processes of the daemon.
        lane: Its lane.
        plugins: The lane's plugins.
    """

    _pids = count(1000)

    def __init__(
        self, house: SimulatedChildren, lane: LaneChildren, plugins: list[LoadedPlugin]
    ) -> None:
        self.pid = next(self._pids)
        self.running_call: object = None
        self.prepared: Prepared | None = None
        self.death: ChildDeath | None = None
        self.held_memory = 50_000_000
        self._house = house
        self._lane = lane
        self._plugins = {plugin.name: plugin for plugin in plugins}
        self._replies: dict[int, SimulatedQueue] = {}
        self._work = SimulatedQueue(house.threads)
        self._grants = StoreGrants(self._receive)
        self._services = {plugin.name: self._make_services(plugin) for plugin in plugins}
        self._last_event: tuple[int, bytes] = (0, b"")
        self._running_number = 0
        self._thread = SimulatedThread(house.threads, self._serve)
        self._thread.start()

    def _make_services(self, plugin: LoadedPlugin) -> ChildServices:
        settings = self._house.settings
        return ChildServices(
            plugin,
            settings.site,
            settings.plugins[plugin.name],
            store=ChildStore(plugin.name, self._grants),
            site_key="127.0.0.1:1",
            redact=Redactor(),
            send_message=self._receive,
        )

    # The daemon's side, as of `Child`

    def send(self, message: ToChild) -> None:
        """Take a message of the daemon's."""
        if self.death is not None:
            return
        if isinstance(message, Prepare):
            self._prepare()
        elif isinstance(message, StoreGranted):
            self._grants.arrive(message.number, message.values)
        elif isinstance(message, CallWanted | End):
            self._work.put(message)

    def listen(self, call_number: int) -> SimulatedQueue:
        """Return the queue with the replies to a call."""
        replies = self._replies[call_number] = SimulatedQueue(self._house.threads)
        if self.death is not None:
            replies.put(self.death)
        return replies

    def forget(self, call_number: int) -> None:
        """Drop further replies to a call."""
        self._replies.pop(call_number, None)

    def memory(self) -> int:
        """Return the memory it holds, in bytes."""
        return self.held_memory

    def stack(self) -> str:
        """Return its stack: it has none."""
        return ""

    def kill(self) -> None:
        """Kill it."""
        self.die(ChildDeath("it was killed by SIGKILL", is_proved=False))

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether it is gone."""
        return self.death is not None

    def close(self, seconds: float = 0.0) -> None:
        """End it if it is not gone."""
        self.kill()

    def end(self, *, shuts_down: bool) -> None:
        """Let it end."""
        self.die(ChildDeath("it has ended"))

    def die(self, death: ChildDeath) -> None:
        """End it, and tell whoever waits for it."""
        if self.death is not None:
            return
        self.death = death._replace(running=self._running_number)
        for replies in list(self._replies.values()):
            replies.put(self.death)
        if self._house.threads.current is not self._thread:
            self._thread.end()

    def _prepare(self) -> None:
        """Load the plugins, unless it is killed meanwhile."""
        if self._house.rng.random() < NO_ROOM_FOR:
            self.kill()
            return
        statuses = [status for status in self._house.statuses if status.name in self._plugins]
        plugins = [sent_plugin(plugin) for plugin in self._plugins.values()]
        self._replies[1 if 1 in self._replies else min(self._replies)].put(
            Prepared(plugins=plugins, statuses=statuses)
        )

    # In the process

    def _receive(self, message: ToDaemon) -> None:
        """Take what the process sends, for the call that it is about."""
        received = decode_to_daemon(encode(message))
        if isinstance(received, SiteReport):
            self._lane._report_site(received)
        elif isinstance(received, Prepared) or not hasattr(received, "number"):
            return
        elif received.number in self._replies:
            self._replies[received.number].put(received)

    def report(self, site_report: SiteReport) -> None:
        """Report to the daemon that the site did not answer."""
        self._lane._report_site(site_report)

    def _serve(self) -> None:
        """Make one call after another; the body of its thread."""
        while True:
            message = self._work.get()
            trouble = self._house.trouble_before(message)
            if trouble:  # killed before it has read what it is to do
                self.die(ChildDeath("it was killed by SIGKILL", is_proved=False))
                raise ProcessEnded
            self._check_memory(message)
            self._running_number, self._house.calling = message.number, self
            try:
                outcome = make_call(self._make_request(message))
            finally:
                self._house.calling = None
            if self.death is not None:
                raise ProcessEnded
            self._running_number = 0
            self._receive(CallEnded(number=message.number, outcome=outcome))

    def _check_memory(self, message: CallWanted) -> None:
        """See that it makes no call for another event if it has grown too large."""
        is_new_event = message.call.event_id != self._last_event[0]
        if is_new_event and self._last_event[0] and self.held_memory > MAX_MEMORY:
            self._house.note(f"called for event {message.call.event_id} with {self.held_memory} B")

    def _make_request(self, message: CallWanted) -> CallRequest:
        call, services = message.call, self._services[message.call.plugin]
        body = call.body or self._last_event[1]
        if not call.batch:
            self._last_event = (call.event_id, body)
        callback = next(
            one for one in self._plugins[call.plugin].callbacks if one.name == call.callback
        )
        services.child_store.number = message.number
        events = [event_of(row, Scripts()) for row in call.batch or [body]]
        event = events[0]
        if call.batch:
            callback = bind_events(callback, events)
        request = CallRequest(
            callback, event, call, services, call.attempt, runs_filter=call.runs_filter
        )
        request.context = ChildContext(
            services,
            event,
            callback.name,
            call.attempt,
            era=call.era,
            number=message.number,
            send_message=self._receive,
        )
        return request


class SimulatedChildren:
    """The worker processes of one daemon after another.

    Args:
        machine: The machine.
        threads: The simulated threads.
        seed: Decides which processes are killed from outside.
        pass_time: Lets so many seconds pass.
        note: Called with what is not as it should be.
    """

    def __init__(
        self,
        machine: Machine,
        threads: SimulatedThreads,
        seed: int,
        *,
        pass_time: Callable[[float], None],
        note: Callable[[str], None],
    ) -> None:
        self.threads = threads
        self.rng = random.Random(f"children {seed}")
        self.note = note
        self.poison_share = self.rng.choice([0.0, 0.0, 0.02, 0.1])
        """Share of events on which calls end their process each time."""
        self.calling: SimulatedChild | None = None
        """The process in which a call runs at this moment."""
        self.settings: Settings
        self.statuses: tuple[Any, ...] = ()
        self._machine = machine
        self._pass_time = pass_time
        self._plugins: dict[str, list[LoadedPlugin]] = {}
        self._pools: dict[str, LaneWorkers] = {}
        self._launched: dict[str, list[SimulatedChild]] = {}
        """Lane -> the processes that were started for it."""

    def trouble_before(self, message: CallWanted) -> bool:
        """Return whether a process is killed from outside when it is given a call."""
        return self.rng.random() < NO_ROOM_FOR

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let lanes have these processes while the block lasts."""
        with pytest.MonkeyPatch.context() as patch:
            for module in (worker, worker_replies, worker_process, failed_calls, child_calls):
                patch.setattr(module, "time", self._machine)
            patch.setattr(child_calls, "SimpleQueue", lambda: SimulatedQueue(self.threads))
            inline = SimpleNamespace(Thread=_InlineThread)
            patch.setattr(lane_workers, "threading", inline)
            launch = self._launch
            patch.setattr(LaneChildren, "launch", lambda lane: launch(lane))  # noqa: PLW0108 - a bound method would not get the lane
            yield

    def load(self, settings: Settings, loaded: Loaded) -> tuple[Loaded, Mapping[str, LaneWorkers]]:
        """Load the plugins of lanes with processes there; return what the daemon has of them."""
        self.settings, self.statuses = settings, loaded.statuses
        self._pools, self._launched = {}, {}
        lanes = [self._load_lane(lane_name, settings, loaded) for lane_name in settings.lanes]
        received = {name: plugin for plugins in lanes for name, plugin in plugins.items()}
        plugins_there = tuple(received.get(plugin.name, plugin) for plugin in loaded.plugins)
        return replace(loaded, plugins=plugins_there), dict(self._pools)

    def _load_lane(
        self, lane_name: str, settings: Settings, loaded: Loaded
    ) -> dict[str, LoadedPlugin]:
        """Start the processes of a lane; return its plugins, none if it has no processes."""
        plugins = [plugin for plugin in loaded.plugins if plugin.lane == lane_name]
        if settings.lanes[lane_name].executor != "process" or not plugins:
            return {}
        self._plugins[lane_name], self._launched[lane_name] = plugins, []
        lane = LaneChildren(
            lane_name,
            settings,
            [plugin.name for plugin in plugins],
            launcher=None,  # type: ignore[arg-type]  # `launch` is replaced
            site_key="127.0.0.1:1",
            stopping=_Stopping(self._pass_time),  # type: ignore[arg-type]  # in its place
        )
        workers = self._pools[lane_name] = LaneWorkers(lane)
        prepared = workers.start()
        assert isinstance(prepared, Prepared), prepared
        return {sent.name: received_plugin(sent, workers.call_hook) for sent in prepared.plugins}

    def replace_lane(
        self, lane_name: str, settings: Settings, loaded: Loaded, here: Loaded
    ) -> tuple[Loaded, LaneWorkers | None]:
        """End the processes of a lane, and start others; return what the daemon has of them.

        Args:
            lane_name: The lane.
            settings: The configuration.
            loaded: All plugins.
            here: Those of the lane.
        """
        self.settings, self.statuses = settings, loaded.statuses
        ended_workers = self._pools.pop(lane_name, None)
        if ended_workers is not None:
            ended_workers.begin_end(shuts_down=True)
            ended_workers.end()
        alive = [child for child in self._launched.get(lane_name, []) if child.death is None]
        if alive:
            self.note(f"{len(alive)} processes of lane {lane_name} outlive it")
        received = self._load_lane(lane_name, settings, here)
        workers = self._pools.get(lane_name)
        if ended_workers is not None and workers is not None:
            workers.lane.take_over(ended_workers.lane)
        plugins_there = tuple(received.get(plugin.name, plugin) for plugin in here.plugins)
        return replace(here, plugins=plugins_there), workers

    def _launch(self, lane: LaneChildren) -> SimulatedChild:
        self._machine.step()
        self._pass_time(START_SECONDS)
        child = SimulatedChild(self, lane, self._plugins[lane.name])
        self._launched[lane.name].append(child)
        return child


class _InlineThread:
    """A thread that is over as soon as it is started."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...] = (), **_: Any) -> None:
        self._target, self._args = target, args

    def start(self) -> None:
        """Run it."""
        self._target(*self._args)


class _Stopping:
    """Whether a stop waits for running calls: none does."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        self._pass_time = pass_time

    def is_set(self) -> bool:
        """Return whether a stop waits."""
        return False

    def wait(self, seconds: float) -> bool:
        """Let time pass."""
        self._pass_time(min(seconds, math.inf))
        return False
