"""The daemon: it locks the state, loads the plugins, and runs until it is stopped."""

from __future__ import annotations

import logging
from collections.abc import Container
from contextlib import ExitStack, closing
from functools import partial
from queue import SimpleQueue
from typing import NamedTuple

from sgevents_core.children.daemon_children import Children
from sgevents_core.classic.finding import find_plugins
from sgevents_core.crashes.evidence import EvidenceRecorder
from sgevents_core.crashes.loading_deaths import count_last_death, find_known_broken
from sgevents_core.crashes.loading_watch import InterruptingWatch
from sgevents_core.crashes.recovering import fold_registers
from sgevents_core.daemon.parts import Assembly
from sgevents_core.daemon.reload import Reloader
from sgevents_core.daemon.restarting import CommandLine, end_at_once, execute_anew
from sgevents_core.daemon.run import DaemonRun, Order
from sgevents_core.observe.process_guard import guarded_process
from sgevents_core.observe.systemd import Systemd
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded, load
from sgevents_core.plugins.reporting import log_remarks, log_statuses
from sgevents_core.settings import Settings
from sgevents_core.state.disk import NETWORK, file_system
from sgevents_core.state.lock import StateLock
from sgevents_core.state.opening import open_state
from sgevents_core.state.openness import state_exposures
from sgevents_core.state.protocols import Presence, Reader, Writer

logger = logging.getLogger("sgevents.daemon")


class Remains(NamedTuple):
    """What remains after a drain, for people.

    Args:
        waiting: Ids still waited for.
        apart: Plugins that are held, paused or not started, with the reason for each.
    """

    waiting: int
    apart: tuple[tuple[str, str, str], ...]


class Daemon:
    """The daemon of one site, which passes its events to the enabled plugins.

    Args:
        settings: The configuration.
        drain: Whether to end once every event so far is handled.
        strict: Whether every enabled plugin must load.
        without: Enabled plugins to leave out of this run; their events are kept for them.
        started: How the process was started; None if it cannot be reloaded.
        refused: Why an earlier attempt to replace this process failed; empty if there was none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        drain: bool = False,
        strict: bool = False,
        without: Container[str] = (),
        started: CommandLine | None = None,
        refused: str = "",
    ) -> None:
        self._refused = refused
        self._settings = settings
        self._drain = drain
        self._strict = strict
        self._without = without
        self._started = started
        # Unlike an Event, its `put` may interrupt its `get`, as a signal does.
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._reloads = False
        self._watch: InterruptingWatch | None = None
        self.hung = False
        """Whether threads of plugins hung when it ended, which may keep the process from ending."""

    @property
    def reloads(self) -> bool:
        """Whether it has ended in order to be executed again, and was not stopped since."""
        while not self._orders.empty():
            self._reloads &= self._orders.get() != "stop"
        return self._reloads

    def stop(self) -> None:
        """Stop after the running callbacks; may be called from a signal handler."""
        self._orders.put("stop")
        if self._watch is not None:
            self._watch.stop()

    def reload(self) -> None:
        """Test the new configuration, and end to restart; may be called from a signal handler."""
        self._orders.put("reload")

    def load(self, watch: PluginWatch | None = None, children: Children | None = None) -> Loaded:
        """Load the plugins as a run does.

        Args:
            watch: Watches the plugins' code; by default it is not watched.
            children: The worker processes, which load the plugins of their lanes; without them, all
                plugins are loaded here.

        Raises:
            PluginError: `strict`, and an enabled plugin cannot be used.
            LoadingStopped: The watch was stopped.
        """
        strict, without = self._strict, self._without
        discovery = find_plugins(self._settings)
        log_remarks(discovery)
        elsewhere = {} if children is None else children.load(watch or PluginWatch())
        return load(
            self._settings,
            discovery,
            strict=strict,
            without=without,
            watch=watch,
            elsewhere=elsewhere,
        )

    def run(self) -> Remains:
        """Run until stopped (or drained), and return what remains.

        Raises:
            StateInUse: Another daemon runs on the state.
            StateError: The state cannot be used.
            PluginError: `strict`, and an enabled plugin cannot be used.
            SgEventsError: The feed or a lane cannot continue.
        """
        folder = self._settings.state.path
        home = open_state(folder)
        with (
            closing(StateLock(folder)),
            closing(home.presence()) as presence,
            closing(home.writer()) as state,
            closing(EvidenceRecorder(folder)) as keeper,
            guarded_process(folder),
            ExitStack() as opened,
        ):
            _report_warnings(self._settings)
            known = find_known_broken(count_last_death(folder))
            fold_registers(folder, state)  # keep the last process's record of its calls
            keeper.start_recording()
            children = opened.enter_context(closing(Children(self._settings, self._without, known)))
            give_up, systemd = partial(_give_up, keeper, self._started), Systemd()
            try:
                with InterruptingWatch(
                    keeper, known, give_up_process=give_up, systemd=systemd
                ) as self._watch:
                    run, loaded = self._assembled(state, keeper, presence, children)
            except LoadingStopped:
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return _remains(state, ())
            finally:
                self._watch = None
            run.run(
                InterruptingWatch(
                    keeper, give_up_process=give_up, is_stoppable=False, systemd=systemd
                )
            )
            self._reloads, self.hung = run.reloads, run.hung
            return _remains(state, {plugin.name for plugin in loaded.plugins})

    def _assembled(
        self, state: Writer, keeper: EvidenceRecorder, presence: Presence, children: Children
    ) -> tuple[DaemonRun, Loaded]:
        """Load and start the plugins, and assemble everything."""
        loaded = self.load(self._watch, children)
        log_statuses(loaded)
        reloader = Reloader(self._settings, loaded, self._started, self._refused)
        assembly = Assembly(
            self._settings, loaded, state, keeper=keeper, presence=presence, children=children
        )
        run = DaemonRun(
            self._settings,
            assembly.assemble(self._watch),
            state,
            orders=self._orders,
            reloader=reloader,
            presence=presence,
            drain=self._drain,
        )
        return run, loaded


def _give_up(keeper: EvidenceRecorder, started: CommandLine | None, stops: bool) -> None:
    """End or replace the process, because its main thread does not return from a plugin."""
    if stops:
        extra = {"action": "daemon.stopped"}
        logger.warning("Stopped in the middle of a plugin that does not return", extra=extra)
        keeper.close()
        end_at_once()
    if started is not None:
        text = "A plugin does not return and cannot be ended: starting anew without it"
        logger.error(text, extra={"action": "daemon.starting_anew"})
        try:
            execute_anew(started)
        except OSError as error:
            text = "It cannot be started anew, so it ends here: %s"
            logger.error(text, error, extra={"action": "daemon.starting_anew"})
            end_at_once(1)


def _report_warnings(settings: Settings) -> None:
    for problem in settings.warnings:
        extra = {"action": "config.warning", "key": problem.key}
        logger.warning("%s", problem, extra=extra)
    for exposure in state_exposures(settings.state.path):
        extra = {"action": "state.exposed"}
        logger.warning("%s: %s", exposure.message, exposure.fix, extra=extra)
    kind = file_system(settings.state.path)
    if kind in NETWORK:
        text = "The state %s is on a network file system (%s): it belongs on a local disk"
        logger.warning(text, settings.state.path, kind, extra={"action": "state.not_local"})


def _remains(state: Reader, loaded: Container[str]) -> Remains:
    feed = state.load_feed()
    hot = [m for m in feed.missing if m.hot] if feed else []
    apart = tuple(
        (record.name, record.state, record.reason)
        for record in state.plugins().values()
        if record.state in {"held", "paused"}
        or (record.state == "not started" and record.name in loaded)
    )
    return Remains(sum(m.last - m.first + 1 for m in hot), apart)
