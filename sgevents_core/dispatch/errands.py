"""The requests that a lane carries out, in order; some wait until the site answers."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sgevents_core.site.health import SiteHealth, Standing
from sgevents_core.state.failures import Failure

if TYPE_CHECKING:
    from sgevents_core.dispatch.lane import Lane

logger = logging.getLogger("sgevents.requests")

Errand: TypeAlias = "Callable[[Lane], bool]"
"""Work that a person asked for: it runs, or runs a slice, and returns whether it is over."""


class _QueuedErrand(NamedTuple):
    run: Errand
    plugin_name: str
    calls_plugin: bool


class _WaitForSite(NamedTuple):
    request_number: int
    failure: Failure
    site_health: SiteHealth
    failed_at: float


class Errands:
    """The errands of one lane, posted from any thread and run in the lane's own."""

    def __init__(self) -> None:
        self._errand_queue: deque[_QueuedErrand] = deque()
        self._waiting_errands: list[tuple[_QueuedErrand, _WaitForSite]] = []
        self._site_wait: _WaitForSite | None = None
        self._unit_lock = threading.Lock()
        self._errands_by_unit: dict[int, list[_QueuedErrand]] = {}
        self._awaited_unit: int | None = None
        self._freed_units: set[int] = set()
        self._own_faults: dict[int, Failure] = {}

    def __bool__(self) -> bool:
        return bool(self._errand_queue)

    @property
    def has_waiting(self) -> bool:
        """Whether any errand waits for the site, or for its strand."""
        return bool(self._waiting_errands or self._errands_by_unit)

    def post(self, errand: Errand, plugin_name: str = "", *, calls_plugin: bool = True) -> None:
        """Append an errand.

        Args:
            errand: The errand.
            plugin_name: The plugin it is about; empty for no particular one.
            calls_plugin: Whether it may call the plugin, and so take long.
        """
        self._errand_queue.append(_QueuedErrand(errand, plugin_name, calls_plugin))

    def run_without_calls(self, lane: Lane) -> None:
        """Run the errands that call no plugin, each behind the earlier ones of its plugin."""
        waiting_plugins = set()
        for _ in range(len(self._errand_queue)):
            queued = self._errand_queue.popleft()
            can_run = not queued.calls_plugin and queued.plugin_name not in waiting_plugins
            if not (can_run and queued.run(lane)):
                waiting_plugins.add(queued.plugin_name)
                self._errand_queue.append(queued)

    def run(self, lane: Lane, may_continue: Callable[[], bool]) -> bool:
        """Run errands for as long as `may_continue` says; return whether there were any."""
        self._requeue_errands()
        has_worked = bool(self._errand_queue)
        while self._errand_queue and may_continue():
            self._site_wait = self._awaited_unit = None
            is_over = self._errand_queue[0].run(lane)
            if not is_over and self._site_wait is None and self._awaited_unit is None:
                break
            errand = self._errand_queue.popleft()
            if self._site_wait is not None:
                self._waiting_errands.append((errand, self._site_wait))
            elif not is_over and self._awaited_unit is not None:
                self._wait_for_unit(errand, self._awaited_unit)
        return has_worked

    def move_to_new_lane(self) -> Errands:
        """Return these errands for a lane that continues another's work; no strand is taken."""
        for unit in list(self._errands_by_unit):
            self.is_free(unit)
        self._freed_units.clear()
        return self

    def wait_for(self, unit: int) -> None:
        """Let the running errand wait for a strand if it is not over when it returns."""
        self._freed_units.discard(unit)
        self._awaited_unit = unit

    def has(self, unit: int) -> None:
        """Note that the running errand has the strand that it wanted."""
        self._awaited_unit = None

    def is_free(self, unit: int) -> None:
        """Run the errands again that wait for a strand; may be called from any thread."""
        with self._unit_lock:
            self._freed_units.add(unit)
            self._errand_queue.extend(self._errands_by_unit.pop(unit, []))

    def _wait_for_unit(self, errand: _QueuedErrand, unit: int) -> None:
        with self._unit_lock:
            if unit in self._freed_units:  # it became free meanwhile
                self._errand_queue.append(errand)
            else:
                self._errands_by_unit.setdefault(unit, []).append(errand)

    def put_off(self, request_number: int, call_failure: Failure, site_health: SiteHealth) -> None:
        """Put off the running errand until it is clear whether the site or a call was at fault.

        Args:
            request_number: The request's number.
            call_failure: The failure of its call.
            site_health: The health of the site.
        """
        self._site_wait = _WaitForSite(request_number, call_failure, site_health, time.monotonic())
        site_health.want()
        logger.info(
            "Request %d waits until the site answers: %s",
            request_number,
            call_failure.error,
            extra={"action": "request.waits_for_site", "request": request_number},
        )

    def own_fault(self, request_number: int) -> Failure | None:
        """Return the failure for which a request was put off, if it was the call's own fault."""
        return self._own_faults.pop(request_number, None)

    def _requeue_errands(self) -> None:
        """Queue again the errands that no longer need to wait."""
        waiting_errands, self._waiting_errands = self._waiting_errands, []
        for errand, site_wait in waiting_errands:
            standing = site_wait.site_health.standing(site_wait.failed_at)
            if standing in {Standing.DOWN, Standing.UNKNOWN}:
                self._waiting_errands.append((errand, site_wait))
                continue
            if standing is Standing.OWN:
                self._own_faults[site_wait.request_number] = site_wait.failure
            self._errand_queue.append(errand)
