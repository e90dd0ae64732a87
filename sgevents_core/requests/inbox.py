"""The daemon's inbox: it finds people's new requests and passes each to a lane or the feed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from sgevents_core.dispatch.lane import Lane
from sgevents_core.errors import StateError
from sgevents_core.requests import carrying_out
from sgevents_core.state.opening import open_state
from sgevents_core.state.requests import Request, RequestAnswer

logger = logging.getLogger("sgevents.requests")


class DecidingFeed(Protocol):
    """A feed that can carry out people's decisions."""

    def decide(self, request: Request) -> bool:
        """Have the feed's own thread carry out a request; return False if it is not here."""


class Inbox:
    """The unanswered requests, each passed on once; for the main thread.

    Args:
        state_folder: The state's folder.
        lanes: The lanes that run.
        feed: The feed.
        find_recorded_lane: Returns the lane of a plugin that is not loaded, which alone may carry
            out its requests; by default, any lane may.
    """

    def __init__(
        self,
        state_folder: Path,
        lanes: Sequence[Lane],
        feed: DecidingFeed,
        find_recorded_lane: Callable[[str], str | None] | None = None,
    ) -> None:
        self._state_folder = state_folder
        self._lanes = lanes
        self._feed = feed
        self._find_recorded_lane = find_recorded_lane
        self._requests = open_state(state_folder).requests()
        self._highest_seen = 0
        self._passed_on: dict[int, str] = {}
        """Request -> the lane to which it was passed on; empty for the feed."""

    def poll(self) -> None:
        """Pass on the requests made since the last call; a look costs a few microseconds."""
        try:
            for request in self._requests.waiting(above_number=self._highest_seen):
                if request.number not in self._passed_on:
                    self._pass_on(request)
                self._highest_seen = request.number
        except StateError as error:  # a full disk: requests wait, like everything else
            logger.debug("New requests cannot be read: %s", error)

    def look_again(self) -> None:
        """Look at all open requests at the next call: a lane or the feed has begun here."""
        self._highest_seen = 0
        with suppress(StateError):
            open_numbers = set(self._requests.unanswered(self._passed_on))
            self._passed_on = {
                number: lane_name
                for number, lane_name in self._passed_on.items()
                if number in open_numbers
            }

    def forget(self, lane_name: str) -> None:
        """Forget what was passed on to a lane that has ended here, or to the feed, if empty.

        Whoever has it next carries out what is not answered.
        """
        self._passed_on = {
            number: name for number, name in self._passed_on.items() if name != lane_name
        }
        self._highest_seen = 0

    def forget_answered(self, answered_before: float) -> None:
        """Remove requests that were answered before a time, in seconds since 1970."""
        try:
            self._requests.forget(answered_before)
        except StateError as error:
            logger.debug("Old requests cannot be removed yet: %s", error)

    def close(self) -> None:
        """Close the connection; open requests wait for the next start."""
        self._requests.close()

    def _pass_on(self, request: Request) -> None:
        if not request.plugin:
            if self._feed.decide(request):
                self._note_passed_on(request, "")
            return
        plugin_lane = self._find_lane(request.plugin)
        if plugin_lane is not None:
            self._note_passed_on(request, plugin_lane.name)
            plugin_lane.post(
                partial(_carry_out_later, request.number, self._state_folder),
                request.plugin,
                calls_plugin=request.kind in carrying_out.CALLING_KINDS,
            )
        elif self._find_recorded_lane is None:
            refusal_text = "no plugin is loaded; stop the daemon and ask again"
            self._requests.answer(request.number, RequestAnswer("refused", refusal_text))

    def _note_passed_on(self, request: Request, lane_name: str) -> None:
        if self._find_recorded_lane is not None:  # else it is not seen again
            self._passed_on[request.number] = lane_name

    def _find_lane(self, plugin_name: str) -> Lane | None:
        """Return the lane that carries out a plugin's requests; None if it does not run here."""
        for lane in self._lanes:
            if any(lane_plugin.record.name == plugin_name for lane_plugin in lane.lane_plugins):
                return lane
        if self._find_recorded_lane is None:
            return self._lanes[0] if self._lanes else None
        recorded_lane = self._find_recorded_lane(plugin_name)
        return next((lane for lane in self._lanes if lane.name == recorded_lane), None)


def _carry_out_later(request_number: int, state_folder: Path, lane: Lane) -> bool:
    try:
        return carrying_out.carry_out(request_number, lane, state_folder)
    except StateError as error:
        log_text = "Request %d could not be carried out, and will be at the next start: %s"
        logger.error(
            log_text,
            request_number,
            error,
            extra={"action": "request.put_off", "request": request_number},
        )
        return True
