"""In a worker process: what its calls share, and how they reach the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from sgevents_core.calling.contact import SiteContact
from sgevents_core.calling.context import CallContext, Services
from sgevents_core.calling.store import CallStore, PluginStore, Store, StoreChanges
from sgevents_core.children.channel import ChannelClosed
from sgevents_core.children.messages import Heartbeat, SiteReport, StoreWanted, ToDaemon
from sgevents_core.errors import WorkerForkedError

_T = TypeVar("_T")

Send = Callable[[ToDaemon], None]
BEAT_EVERY: Final = 0.005
"""The least seconds between two signs of life that are sent; the shortest limit is twice that."""


class Grants:
    """The stores that running calls wait for; a grant arrives in the thread that receives.

    Args:
        send: Sends a message to the daemon.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[Mapping[str, bytes]]] = {}

    def wait(self, number: int, plugin: str) -> Mapping[str, bytes]:
        """Return the values of a plugin's store, once it belongs to a call.

        Raises:
            WorkerForkedError: This process was forked by a plugin.
        """
        granted: SimpleQueue[Mapping[str, bytes]] = SimpleQueue()
        with self._lock:
            self._waiting[number] = granted
        try:
            self._send(StoreWanted(number=number, plugin=plugin))
        except ChannelClosed:
            raise WorkerForkedError(plugin=plugin) from None
        return granted.get()

    def arrive(self, number: int, values: Mapping[str, bytes]) -> None:
        """Hand the values to the call that waits for them."""
        with self._lock:
            waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.put(values)


class ChildStore(PluginStore):
    """The source of a plugin's values in a worker process, which asks the daemon for them.

    Args:
        plugin: The plugin's name.
        grants: The stores that calls wait for.

    `number` is the number of the running call.
    """

    def __init__(self, plugin: str, grants: Grants) -> None:
        super().__init__(plugin, {})
        self.number = 0
        self._grants = grants
        self._lock = threading.Lock()  # several threads of one call ask once
        self._granted: tuple[CallStore | None, Mapping[str, bytes]] = (None, {})

    def grant(self, call: CallStore) -> Mapping[str, bytes]:
        """Wait until the daemon grants the store to the running call; return its values."""
        with self._lock:
            if self._granted[0] is call:
                return self._granted[1]
            if call.is_over:
                return {}
            with call.waiting():
                values = self._grants.wait(self.number, self._plugin)
            self._granted = (call, values)
            return values

    def release(self, call: CallStore) -> None:
        """Do nothing: the daemon takes the store back, once it has judged the call."""

    def wake(self) -> None:
        """Let a waiting call that has ended go on without the values."""
        self._grants.arrive(self.number, {})

    def commit(self, changes: StoreChanges) -> None:
        """Do nothing: the daemon commits them."""

    def read_only_view(self) -> Store:
        """Return a read-only view of the values, for a hook beside the running call."""
        return Store(self._plugin, self._grants.wait(self.number, self._plugin))

    def seen_by(self, number: int) -> Store:
        """Return a read-only view of the values for a hook with a number of its own."""
        return Store(self._plugin, self._grants.wait(number, self._plugin))


class ReportedContact(SiteContact):
    """A plugin's calls to the site, of which the daemon hears at once.

    The daemon judges by them why a call failed, also if this process does not live to say so.

    Args:
        plugin: The plugin.
        send: Sends a message to the daemon.
    """

    def __init__(self, plugin: str, send: Send) -> None:
        super().__init__()
        self._plugin = plugin
        self._send = send
        self._last = threading.local()

    def watch_call(
        self,
        is_answer: Callable[[BaseException], bool | None],
        site_call: Callable[..., _T],
        *args: Any,
        **kwargs: Any,
    ) -> _T:
        """Make a call to the site, and report whether it was answered."""
        self._last.answered = None
        self._report(SiteReport(plugin=self._plugin, waits=True))
        try:
            return super().watch_call(is_answer, site_call, *args, **kwargs)
        finally:
            failed = None if self.failed_at == float("-inf") else self.failed_at
            answered = self._last.answered
            self._report(
                SiteReport(
                    plugin=self._plugin, waits=self.is_waiting, failed=failed, answered=answered
                )
            )

    def _report_answer(self, began: float) -> None:
        self._last.answered = began

    def _report(self, report: SiteReport) -> None:
        try:
            self._send(report)
        except ChannelClosed:  # in a process that a plugin has forked
            return


class ChildServices(Services):
    """What the calls of one plugin share in a worker process.

    The arguments are those of `Services`, and:

    Args:
        send: Sends a message to the daemon.
    """

    def __init__(self, *args: Any, store: ChildStore, send: Send, **kwargs: Any) -> None:
        super().__init__(*args, store=store, **kwargs)
        self.contact = ReportedContact(self.name, send)
        self.child_store = store


class ChildContext(CallContext):
    """The `ctx` of a call in a worker process.

    The arguments are those of `CallContext`, and:

    Args:
        number: The number of the call.
        send: Sends a message to the daemon.
    """

    __slots__ = ("_beat", "_number", "_send")

    def __init__(self, *args: Any, number: int, send: Send, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._number = number
        self._send = send
        self._beat = 0.0

    def heartbeat(self) -> None:
        """Say that the call lives: its time limit counts from now."""
        super().heartbeat()
        now = time.monotonic()
        if now - self._beat < BEAT_EVERY:
            return
        self._beat = now
        try:
            self._send(Heartbeat(number=self._number))
        except ChannelClosed:  # in a process that a plugin has forked
            return
