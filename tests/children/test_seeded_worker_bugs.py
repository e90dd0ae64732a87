"""Bugs put into the worker processes on purpose: each is caught by the test that guards against it.

A bug is code that is replaced; the test must fail then, as it must not otherwise.
"""

from __future__ import annotations

import importlib
import inspect
import select
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest
from worker_house import WorkerHouse

from sgevents_core.calling.making import CallRequest
from sgevents_core.calling.outcome import CallOutcome, RaisedError
from sgevents_core.calling.store import PluginStore
from sgevents_core.children import worker
from sgevents_core.children.channel import Channel, ChannelClosed
from sgevents_core.children.lane_children import LaneChildren
from sgevents_core.children.lane_lock import LaneLock
from sgevents_core.children.process import Child, ChildDeath
from sgevents_core.children.worker_process import WorkerProcess
from sgevents_core.crashes.evidence import DeathEvidence

test_worker_deaths = importlib.import_module("test_worker_deaths")
test_worker_limits = importlib.import_module("test_worker_limits")
test_worker_starts = importlib.import_module("test_worker_starts")
test_lane_workers = importlib.import_module("test_lane_workers")


class Bug(NamedTuple):
    """A bug: the attributes that are replaced, and the test that catches it."""

    replaced: Mapping[tuple[type | ModuleType, str], Any]
    caught_by: Callable[..., None]


def _grant_at_once(store: PluginStore, call: Any) -> Mapping[str, bytes]:
    return dict(store._committed)


def _end_it_later(request: CallRequest, child: Child, limit: float) -> CallOutcome:
    threading.Timer(0.5, child.kill).start()
    changes = None if request.context is None else request.context.end()
    error = RaisedError("CallbackTimeout", "CallbackTimeout: It had not returned within 3s.")
    return CallOutcome(error=error, timed_out=True, store_changes=None if changes is None else {})


def _hear_the_end_first(child: Child, pidfd: int) -> None:
    poll = select.poll()
    for file in (child._channel.fileno(), pidfd):
        poll.register(file, select.POLLIN)
    with suppress(ChannelClosed):
        while pidfd not in [file for file, _ in poll.poll()]:
            child._channel.read()
            while (message := child._channel.next_whole()) is not None:
                child._handle(message)
                if pidfd in [file for file, _ in poll.poll(0)]:
                    child._channel._received.clear()


BUGS: Final = {
    "a death is charged to a call that had not begun": Bug(
        {(ChildDeath, "is_in"): lambda death, number: True},
        test_worker_deaths.test_a_death_before_a_call_begins_in_it_is_nobodys,
    ),
    "a death is charged to whichever call runs": Bug(
        {(DeathEvidence, "may_blame_lane"): lambda words, lane: True},
        test_worker_deaths.test_a_thread_left_behind_is_charged_to_its_own_plugin,
    ),
    "a lane starts beside its old processes": Bug(
        {(LaneLock, "is_free"): lambda lock: True},
        test_worker_starts.test_a_lane_starts_only_when_its_old_processes_are_gone,
    ),
    "a call that is given up goes on": Bug(
        {(worker, "end_overdue_call"): _end_it_later},
        test_worker_limits.test_a_call_that_exceeds_its_limit_is_ended_for_good,
    ),
    "what was not read before a death is lost": Bug(
        {(Child, "_hear"): _hear_the_end_first, (Channel, "read_rest"): lambda channel: None},
        test_worker_deaths.test_nothing_that_was_sent_before_a_death_is_lost,
    ),
    "a process may grow for ever": Bug(
        {(WorkerProcess, "_has_outgrown"): lambda self, child: False},
        test_worker_limits.test_a_process_that_outgrows_max_rss_is_replaced_between_events,
    ),
    "a later process does not call startup": Bug(
        {(LaneChildren, "note_started"): lambda lane, plugin: None},
        test_worker_starts.test_startup_runs_in_each_process_and_is_recorded_once,
    ),
    "two calls have the store at once": Bug(
        {(PluginStore, "grant"): _grant_at_once},
        test_lane_workers.test_the_store_belongs_to_one_call_at_a_time,
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_bug_is_caught(
    name: str, house: WorkerHouse, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test fails with the bug."""
    bug = BUGS[name]
    for (owner, attribute), replacement in bug.replaced.items():
        assert hasattr(owner, attribute)
        monkeypatch.setattr(owner, attribute, replacement)
    wanted = inspect.signature(bug.caught_by).parameters
    given = {one: house if one == "house" else request.getfixturevalue(one) for one in wanted}
    with pytest.raises(AssertionError):
        bug.caught_by(**given)
