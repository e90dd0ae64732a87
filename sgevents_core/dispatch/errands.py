"""The requests that a lane carries out, in order; some wait until the site answers."""

from __future__ import annotations

import logging
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


class _PutOff(NamedTuple):
    request: int
    failure: Failure
    health: SiteHealth
    failed: float


class Errands:
    """The errands of one lane, posted from any thread and run in the lane's own."""

    def __init__(self) -> None:
        self._queue: deque[Errand] = deque()
        self._aside: list[tuple[Errand, _PutOff]] = []
        self._put_off: _PutOff | None = None
        self._for_unit: dict[int, list[Errand]] = {}
        self._unit: int | None = None
        self._freed: set[int] = set()
        self._own_faults: dict[int, Failure] = {}

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def wait(self) -> bool:
        """Whether any errand waits for the site, or for its strand."""
        return bool(self._aside or self._for_unit)

    def post(self, errand: Errand) -> None:
        """Append an errand."""
        self._queue.append(errand)

    def run(self, lane: Lane, goes_on: Callable[[], bool]) -> bool:
        """Run errands for as long as `goes_on` says; return whether there were any."""
        self._take_up()
        worked = bool(self._queue)
        while self._queue and goes_on():
            self._put_off = self._unit = None
            over = self._queue[0](lane)
            if not over and self._put_off is None and self._unit is None:
                break
            errand = self._queue.popleft()
            if self._put_off is not None:
                self._aside.append((errand, self._put_off))
            elif not over and self._unit is not None:
                self._wait(errand, self._unit)
        return worked

    def move_to_new_lane(self) -> Errands:
        """Return these errands for a lane that continues another's work; no strand is taken."""
        for unit in list(self._for_unit):
            self.is_free(unit)
        self._freed.clear()
        return self

    def wait_for(self, unit: int) -> None:
        """Let the running errand wait for a strand if it is not over when it returns."""
        self._freed.discard(unit)
        self._unit = unit

    def has(self, unit: int) -> None:
        """Note that the running errand has the strand that it wanted."""
        self._unit = None

    def is_free(self, unit: int) -> None:
        """Run the errands again that wait for a strand; may be called from any thread."""
        self._freed.add(unit)
        self._queue.extend(self._for_unit.pop(unit, []))

    def _wait(self, errand: Errand, unit: int) -> None:
        self._for_unit.setdefault(unit, []).append(errand)
        if unit in self._freed:  # it became free meanwhile
            self.is_free(unit)

    def put_off(self, request: int, failure: Failure, health: SiteHealth) -> None:
        """Put off the running errand until it is clear whether the site or a call was at fault.

        Args:
            request: The request's number.
            failure: The failure of its call.
            health: The health of the site.
        """
        self._put_off = _PutOff(request, failure, health, time.monotonic())
        health.want()
        logger.info(
            "Request %d waits until the site answers: %s",
            request,
            failure.error,
            extra={"action": "request.waits_for_site", "request": request},
        )

    def own_fault(self, request: int) -> Failure | None:
        """Return the failure for which a request was put off, if it was the call's own fault."""
        return self._own_faults.pop(request, None)

    def _take_up(self) -> None:
        """Queue again the errands that no longer need to wait."""
        waiting, self._aside = self._aside, []
        for errand, put_off in waiting:
            standing = put_off.health.standing(put_off.failed)
            if standing in {Standing.DOWN, Standing.UNKNOWN}:
                self._aside.append((errand, put_off))
                continue
            if standing is Standing.OWN:
                self._own_faults[put_off.request] = put_off.failure
            self._queue.append(errand)
