"""In a worker process: the services of its calls, and how they reach the daemon."""

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
from sgevents_core.children.messages import (
    Heartbeat,
    PartAnswered,
    PartAsked,
    SiteReport,
    StoreWanted,
    ToDaemon,
)
from sgevents_core.errors import WorkerForkedError
from sgevents_core.state.done_parts import DonePart

_T = TypeVar("_T")

SendMessage = Callable[[ToDaemon], None]
HEARTBEAT_INTERVAL: Final = 0.005
"""The least seconds between two heartbeats sent; the shortest time limit is twice that."""


class StoreGrants:
    """The stores that running calls wait for; a grant arrives in the thread that receives.

    Args:
        send_message: Sends a message to the daemon.
    """

    def __init__(self, send_message: SendMessage) -> None:
        self._send_message = send_message
        self._grant_lock = threading.Lock()
        self._waiting_calls: dict[int, SimpleQueue[Mapping[str, bytes]]] = {}

    def wait(self, call_number: int, plugin_name: str) -> Mapping[str, bytes]:
        """Return the values of a plugin's store, once it belongs to a call.

        Raises:
            WorkerForkedError: This process was forked by a plugin.
        """
        granted_values: SimpleQueue[Mapping[str, bytes]] = SimpleQueue()
        with self._grant_lock:
            self._waiting_calls[call_number] = granted_values
        try:
            self._send_message(StoreWanted(number=call_number, plugin=plugin_name))
        except ChannelClosed:
            raise WorkerForkedError(plugin=plugin_name) from None
        return granted_values.get()

    def arrive(self, call_number: int, store_values: Mapping[str, bytes]) -> None:
        """Hand the values to the call that waits for them."""
        with self._grant_lock:
            waiting_call = self._waiting_calls.pop(call_number, None)
        if waiting_call is not None:
            waiting_call.put(store_values)


class ChildParts:
    """The record of parts of calls in a worker process, which asks the daemon.

    Args:
        send_message: Sends a message to the daemon.

    `number` is the number of the running call.
    """

    def __init__(self, send_message: SendMessage) -> None:
        self.number = 0
        self._send_message = send_message
        self._question_lock = threading.Lock()  # several threads of one call ask one by one
        self._answers: SimpleQueue[bool] = SimpleQueue()

    def is_part_done(self, done_part: DonePart) -> bool:
        """Return whether a part of a callback's work for an event is done."""
        return self._ask(done_part, is_done=False)

    def note_part_done(self, done_part: DonePart) -> None:
        """Record that a part is done, before this returns."""
        self._ask(done_part, is_done=True)

    def arrive(self, part_answered: PartAnswered) -> None:
        """Hand an answer to the call that waits for it."""
        self._answers.put(part_answered.is_done)

    def _ask(self, done_part: DonePart, *, is_done: bool) -> bool:
        with self._question_lock:
            part_asked = PartAsked(number=self.number, name=done_part.name, is_done=is_done)
            try:
                self._send_message(part_asked)
            except ChannelClosed:
                raise WorkerForkedError(plugin=done_part.plugin) from None
            return self._answers.get()


class ChildStore(PluginStore):
    """The source of a plugin's values in a worker process, which asks the daemon for them.

    Args:
        plugin_name: The plugin's name.
        store_grants: The stores that calls wait for.

    `number` is the number of the running call.
    """

    def __init__(self, plugin_name: str, store_grants: StoreGrants) -> None:
        super().__init__(plugin_name, {})
        self.number = 0
        self._store_grants = store_grants
        self._grant_lock = threading.Lock()  # several threads of one call ask once
        self._granted: tuple[CallStore | None, Mapping[str, bytes]] = (None, {})

    def grant(self, call: CallStore) -> Mapping[str, bytes]:
        """Wait until the daemon grants the store to the running call; return its values."""
        with self._grant_lock:
            if self._granted[0] is call:
                return self._granted[1]
            if call.is_over:
                return {}
            with call.waiting():
                values = self._store_grants.wait(self.number, self._plugin)
            self._granted = (call, values)
            return values

    def release(self, call: CallStore) -> None:
        """Do nothing: the daemon takes the store back, once it has judged the call."""

    def wake(self) -> None:
        """Let a waiting call that has ended continue without the values."""
        self._store_grants.arrive(self.number, {})

    def commit(self, changes: StoreChanges) -> None:
        """Do nothing: the daemon commits them."""

    def read_only_view(self) -> Store:
        """Return a read-only view of the values, for a hook beside the running call."""
        return Store(self._plugin, self._store_grants.wait(self.number, self._plugin))

    def view_for_hook(self, call_number: int) -> Store:
        """Return a read-only view of the values for a hook that has its own call number."""
        return Store(self._plugin, self._store_grants.wait(call_number, self._plugin))


class ReportedContact(SiteContact):
    """A plugin's calls to the site, which are reported to the daemon at once.

    The daemon judges by them why a call failed, even if this process dies before it reports that.

    Args:
        plugin_name: The plugin.
        send_message: Sends a message to the daemon.
    """

    def __init__(self, plugin_name: str, send_message: SendMessage) -> None:
        super().__init__()
        self._plugin = plugin_name
        self._send_message = send_message
        self._last_call = threading.local()

    def watch_call(
        self,
        is_answer: Callable[[BaseException], bool | None],
        site_call: Callable[..., _T],
        *args: Any,
        **kwargs: Any,
    ) -> _T:
        """Make a call to the site, and report whether it was answered."""
        self._last_call.answered = None
        self._send_report(SiteReport(plugin=self._plugin, waits=True, begins=True))
        try:
            return super().watch_call(is_answer, site_call, *args, **kwargs)
        finally:
            failed_at = None if self.failed_at == float("-inf") else self.failed_at
            answered = self._last_call.answered
            self._send_report(
                SiteReport(
                    plugin=self._plugin, waits=self.is_waiting, failed=failed_at, answered=answered
                )
            )

    def _report_answer(self, began_at: float) -> None:
        self._last_call.answered = began_at

    def _send_report(self, site_report: SiteReport) -> None:
        try:
            self._send_message(site_report)
        except ChannelClosed:  # in a process that a plugin has forked
            return


class ChildServices(Services):
    """The services that one plugin's calls share in a worker process.

    The arguments are those of `Services`, and:

    Args:
        send_message: Sends a message to the daemon.
    """

    def __init__(
        self, *args: Any, store: ChildStore, send_message: SendMessage, **kwargs: Any
    ) -> None:
        super().__init__(*args, store=store, **kwargs)
        self.contact = ReportedContact(self.name, send_message)
        self.child_store = store


class ChildContext(CallContext):
    """The `ctx` of a call in a worker process.

    The arguments are those of `CallContext`, and:

    Args:
        number: The number of the call.
        send_message: Sends a message to the daemon.
    """

    __slots__ = ("_last_beat", "_number", "_send_message")

    def __init__(self, *args: Any, number: int, send_message: SendMessage, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._number = number
        self._send_message = send_message
        self._last_beat = 0.0

    def heartbeat(self) -> None:
        """Report that the call is alive: its time limit counts from now."""
        super().heartbeat()
        current_time = time.monotonic()
        if current_time - self._last_beat < HEARTBEAT_INTERVAL:
            return
        self._last_beat = current_time
        try:
            self._send_message(Heartbeat(number=self._number))
        except ChannelClosed:  # in a process that a plugin has forked
            return
