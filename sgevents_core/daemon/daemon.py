"""The daemon: it locks the state, loads the plugins, and runs until it is stopped."""

from __future__ import annotations

import logging
from collections.abc import Container
from queue import Empty, SimpleQueue

from sgevents_core.calling.context import Services
from sgevents_core.children.daemon_children import Children
from sgevents_core.daemon.loading_watches import LoadingWatches
from sgevents_core.daemon.options import RunOptions
from sgevents_core.daemon.remains import Remains, describe_remains
from sgevents_core.daemon.resources import Resources, open_resources
from sgevents_core.daemon.restarting import CommandLine
from sgevents_core.daemon.run import DaemonRun, SignalOrder
from sgevents_core.daemon.start import RunStart, load_plugins
from sgevents_core.plugins.load_watching import LoadingStopped, PluginWatch
from sgevents_core.plugins.loading import Loaded
from sgevents_core.settings import Settings

logger = logging.getLogger("sgevents.daemon")


class Daemon:
    """The daemon of one site, which passes its events to the enabled plugins.

    Args:
        settings: The configuration.
        drain: Whether to end once every event so far is handled.
        strict: Whether every enabled plugin must load.
        without: Enabled plugins to leave out of this run; their events are kept for them.
        started: How the process was started; None if it cannot be reloaded.
        refused: Why an earlier attempt to replace this process failed; empty if there was none.
        services_class: The class of a plugin's services, which its calls share.
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
        services_class: type[Services] = Services,
    ) -> None:
        self._options = RunOptions(
            settings=settings,
            is_drain=drain,
            is_strict=strict,
            left_out=without,
            start_command=started,
            refusal_text=refused,
            services_class=services_class,
        )
        # Unlike an Event, its `put` may interrupt its `get`, as a signal does.
        self._orders: SimpleQueue[SignalOrder] = SimpleQueue()
        self._is_reloading = False
        self._watches: LoadingWatches | None = None
        self.has_hung_threads = False
        """Whether threads of plugins hung when it ended, which may keep the process from ending."""

    @property
    def reloads(self) -> bool:
        """Whether it has ended in order to be executed again, and was not stopped since."""
        while not self._orders.empty():
            self._is_reloading &= self._orders.get() != "stop"
        return self._is_reloading

    def stop(self) -> None:
        """Stop after the running callbacks; may be called from a signal handler."""
        self._orders.put("stop")
        if self._watches is not None:
            self._watches.stop()

    def reload(self) -> None:
        """Test the new configuration, and end to restart; may be called from a signal handler."""
        self._orders.put("reload")

    def load(self, watch: PluginWatch | None = None, children: Children | None = None) -> Loaded:
        """Load the plugins as a run does; see `start.load_plugins`."""
        return load_plugins(self._options, watch, children)

    def run(self) -> Remains:
        """Run until stopped (or drained), and return the remaining work.

        Raises:
            StateInUse: Another daemon runs on the state.
            StateError: The state cannot be used.
            PluginError: `strict`, and an enabled plugin cannot be used.
            SgEventsError: The feed or a lane cannot continue.
        """
        with open_resources(self._options) as resources:
            if not resources.open_writer(self._is_over_within):
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return Remains()
            self._watches = LoadingWatches(resources.recorder, self._options.start_command)
            start = RunStart(self._options, resources, self._watches, self._orders)
            try:
                run = start.put_together()
            except LoadingStopped:
                logger.info("Stopped", extra={"action": "daemon.stopped"})
                return describe_remains(resources.state_writer, ())
            return self._carry_out(run, resources, start.loaded_names, self._watches)

    def _carry_out(
        self,
        run: DaemonRun,
        resources: Resources,
        loaded_names: Container[str],
        watches: LoadingWatches,
    ) -> Remains:
        run.run(watches.for_shutdown())
        self._is_reloading, self.has_hung_threads = (run.is_reloading, run.has_hung_threads)
        return describe_remains(resources.state_writer, loaded_names)

    def _is_over_within(self, seconds: float) -> bool:
        """Wait some seconds for an order, each of which ends a start that waits."""
        try:
            self._is_reloading = self._orders.get(timeout=seconds) == "reload"
        except Empty:
            return False
        return True
