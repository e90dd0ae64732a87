"""Waiting for what a worker process replies to a call, and answering what it asks meanwhile."""

from __future__ import annotations

import math
import threading
import time
from queue import Empty

from sgevents_core.calling.context import CallContext
from sgevents_core.calling.store import Store
from sgevents_core.children.messages import (
    CallEnded,
    Heartbeat,
    HookEnded,
    PartAnswered,
    PartAsked,
    Prepared,
    StoreGranted,
    StoreWanted,
)
from sgevents_core.children.process import Child, ChildDeath, Replies
from sgevents_core.observe.liveness import report_alive, report_busy


def await_reply(
    child: Child,
    call_number: int,
    replies: Replies,
    context: CallContext,
    time_limit: float | None,
    *,
    is_cancelled: bool = False,
) -> CallEnded | HookEnded | ChildDeath | None:
    """Return the outcome of a call or the death of its process; None once its time is over.

    Heartbeats extend the time, except that of a cancelled call.
    """
    deadline = math.inf if time_limit is None else time.monotonic() + time_limit
    while True:
        try:
            remaining_seconds = min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
            reply = (
                replies.get()
                if time_limit is None
                else replies.get(timeout=max(remaining_seconds, 0.0))
            )
        except Empty:
            return None
        if isinstance(reply, StoreWanted):
            asked_at = time.monotonic()
            report_busy()  # another call may have the store for long
            child.send(_grant_values(call_number, context.store))
            deadline += time.monotonic() - asked_at
            report_limit(time_limit)
        elif isinstance(reply, PartAsked):
            child.send(_answer_part(reply, context))
        elif isinstance(reply, Heartbeat) and is_cancelled:
            continue
        elif isinstance(reply, Heartbeat):
            context.heartbeat()
            deadline = math.inf if time_limit is None else time.monotonic() + time_limit
            report_limit(time_limit)
        elif not isinstance(reply, Prepared):
            return reply


def report_limit(time_limit: float | None) -> None:
    """Count the lane's loop as alive for as long as the call may take from now on."""
    if time_limit is None:
        report_busy()
    else:
        report_alive(time_limit)


def _grant_values(call_number: int, store: Store) -> StoreGranted:
    return StoreGranted(number=call_number, values=store.as_json())


def _answer_part(part_asked: PartAsked, context: CallContext) -> PartAnswered:
    """Look up or record a part of a call in a child."""
    is_done = context.settle_part(part_asked.name, is_done=part_asked.is_done)
    return PartAnswered(number=part_asked.number, is_done=is_done)
