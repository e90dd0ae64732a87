"""Random schedules with batches: each event in exactly one call that ended, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from batch_schedules import run_batch_schedule

from sgevents_core.dispatch import batch_caller
from sgevents_core.dispatch.batch_caller import BatchCaller
from sgevents_core.dispatch.batch_lines import BatchLine, LaneBatches
from sgevents_core.state.batches import BatchChange
from sgevents_core.state.sqlite.lane_writing import SqliteLaneWriter
from sgevents_core.state.steps import Step

SCHEDULES = 12
Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_every_promise_holds_after_a_schedule_with_batches(seed: int) -> None:
    """Those of batches, and those of the plugins beside them."""
    verdict = run_batch_schedule(seed)
    assert not verdict.wrong, "\n".join(f"{kind}: {text}" for kind, text in verdict.wrong)


def collected_before_the_place(patch: Patch) -> None:
    """The ledger has an event in its batch before it has the place behind it."""
    real = SqliteLaneWriter.record

    def record(self: SqliteLaneWriter, lane: str, fence: int, step: Step) -> int:
        if step.collected is not None:
            real(self, lane, fence, Step(collected=step.collected))
            step = replace(step, collected=None)
        return real(self, lane, fence, step)

    patch.setattr(SqliteLaneWriter, "record", record)


def ended_before_the_call(patch: Patch) -> None:
    """A batch is removed when it is closed, before it is called."""
    real = BatchCaller._make_call

    def make(self: BatchCaller, line: BatchLine, *rest: Any) -> Any:
        call = real(self, line, *rest)
        change = BatchChange(*self._call_keys[line.callback_index], line.head.number, "end")
        self._ledger.record(Step(batch=change))
        return call

    patch.setattr(BatchCaller, "_make_call", make)


def never_closed(patch: Patch) -> None:
    """A batch takes more events although it has been called."""
    patch.setattr(BatchCaller, "_close_batch", lambda self, line: None)


def forgotten_at_a_start(patch: Patch) -> None:
    """A start does not continue the batches that it finds."""
    patch.setattr(LaneBatches, "restore", lambda *_: None)


def called_although_paused(patch: Patch) -> None:
    """The batches of a plugin are called although it is paused."""
    patch.setattr(batch_caller, "can_be_called", lambda lane_plugin: not lane_plugin.late)


@pytest.mark.parametrize(
    "bug",
    [
        collected_before_the_place,
        ended_before_the_call,
        never_closed,
        forgotten_at_a_start,
        called_although_paused,
    ],
)
def test_bugs_put_in_are_caught(bug: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """By one of the first schedules; it ends with that one."""
    bug(monkeypatch)
    assert any(run_batch_schedule(seed).wrong for seed in range(2 * SCHEDULES))
