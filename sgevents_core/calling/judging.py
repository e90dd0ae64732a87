"""The judge of calls: the effect of an outcome on a plugin and its progress.

Pure: no clock, chance, state or network; the caller supplies what the judge needs to know, and
carries out the decision.
"""

from __future__ import annotations

import sys
from typing import Final, Literal, NamedTuple, Protocol

from sgevents_core.calling.outage import waits_for_site
from sgevents_core.calling.outcome import CallOutcome, ErrorFacts, RaisedError, Unmade
from sgevents_core.calling.policy import FailureRules, Outcome, judge
from sgevents_core.state.failures import Failure, FailureOutcome
from sgevents_core.state.keys import CallKey
from sgevents_core.state.plugin_record import AnyPluginRecord
from sgevents_core.state.progress import Progress
from sgevents_core.state.steps import Step

_ENDLESS_RULES: Final = FailureRules(max_attempts=sys.maxsize)
"""The policy of a call that could not be made: that is no attempt."""
REPEATED_RULES: Final = FailureRules("dead-letter", max_attempts=1, pause_after=sys.maxsize)
"""The policy of a call that a person asked for: it is made once, and pauses no plugin."""


class WorkerEnd(NamedTuple):
    """The effect of a call on the worker process that made it.

    Args:
        is_repeated: Whether the process died during the call but the call will be repeated anyway.
        wait_seconds: How long its plugin's next call waits, in seconds, if it has to wait.
        slow_reason: Why the plugin's other events wait too, for people; empty if they do not.
    """

    is_repeated: bool = False
    wait_seconds: float = 0.0
    slow_reason: str = ""


NO_END: Final = WorkerEnd()


class Circumstances(NamedTuple):
    """The circumstances of a call, apart from its outcome, that the judge takes into account.

    Args:
        rules: The callback's failure policy.
        attempt: The number of the attempt, from 1.
        failures: The plugin's failures in a row, if this call is one.
        is_site_down: Whether the site is known not to answer; None if the call is judged now
            whatever the site does.
        hang_reason: Why the plugin must wait for the call, which timed out and still runs, for
            people; None if it has ended.
        loop_reason: Why the call completes a loop, for people; None if it does not.
        worker_end: The effect of the call on the worker process that made it.
        jitter: A random number between 0 and 1, so that retries do not all come at once.
    """

    rules: FailureRules
    attempt: int = 1
    failures: int = 1
    is_site_down: bool | None = None
    hang_reason: str | None = None
    loop_reason: str | None = None
    worker_end: WorkerEnd = NO_END
    jitter: float = 0.0


Action = Literal["stay", "hold", "pause", "wait for call", "wait for site"]


class Decision(NamedTuple):
    """The decision about a call.

    Args:
        outcome: The fate of the failure; empty if the call returned, or is judged later.
        is_finished: Whether the callback is finished with the event.
        action: The effect on the plugin: it stays with its lane, is held for some time, paused,
            or held until the call returns or the site answers.
        reason: Why it does not stay, for people.
        hold_seconds: How long it is held, in seconds.
    """

    outcome: Literal[""] | Outcome = ""
    is_finished: bool = True
    action: Action = "stay"
    reason: str = ""
    hold_seconds: float = 0.0

    @property
    def stays(self) -> bool:
        """Whether the plugin continues with the next callback or event."""
        return self.action == "stay"


RETURNED: Final = Decision()
"""The decision for a call that returned, which is nearly every call."""


def judge_call(outcome: CallOutcome, circumstances: Circumstances) -> Decision:
    """Decide how a call's outcome affects its event and its plugin.

    A failure in an outage is judged later, unless the event may be skipped. A plugin that would
    stay with its lane does not if its call still runs, completes a loop, or is one of many that
    have ended worker processes.

    Args:
        outcome: The outcome of the call.
        circumstances: The other facts about the call.
    """
    decision = RETURNED
    if outcome.error is not None:
        if _waits_for_site(outcome, circumstances):
            reason = f"waits for the site: {outcome.error.line}"
            return Decision("", False, "wait for site", reason)
        if outcome.unmade:
            decision = _judge_unmade(outcome.error, outcome.unmade, circumstances)
        else:
            decision = _judge_failure(outcome.error, circumstances)
    if not decision.stays:
        return decision
    if circumstances.hang_reason is not None:
        return decision._replace(action="wait for call", reason=circumstances.hang_reason)
    if circumstances.loop_reason is not None:
        return decision._replace(action="pause", reason=circumstances.loop_reason)
    if circumstances.worker_end.slow_reason:
        reason, wait_seconds = (
            circumstances.worker_end.slow_reason,
            circumstances.worker_end.wait_seconds,
        )
        return decision._replace(action="hold", reason=reason, hold_seconds=wait_seconds)
    return decision


def _waits_for_site(outcome: CallOutcome, circumstances: Circumstances) -> bool:
    is_site_down = circumstances.is_site_down
    if outcome.error is not None and outcome.error.facts.defer_after is not None:
        return False
    if is_site_down is None or circumstances.rules.on_error == "skip":
        return False
    return waits_for_site(outcome, is_site_down=is_site_down)


def _judge_unmade(error: RaisedError, unmade: Unmade, circumstances: Circumstances) -> Decision:
    """Hold or pause a plugin whose call could not be made: its event waits, whatever the policy."""
    if unmade == "until resumed":
        return Decision("retry", False, "pause", error.line)
    facts, attempt = ErrorFacts(asks_retry=True), circumstances.attempt
    wait = judge(facts, attempt, _ENDLESS_RULES, circumstances.jitter).wait_seconds
    return Decision("retry", False, "hold", error.line, wait)


def _judge_failure(error: RaisedError, circumstances: Circumstances) -> Decision:
    failure_rules, failure_count = circumstances.rules, circumstances.failures
    if circumstances.worker_end.is_repeated:
        wait_seconds = circumstances.worker_end.wait_seconds
        return Decision("retry", False, "hold", error.line, wait_seconds)
    verdict = judge(error.facts, circumstances.attempt, failure_rules, circumstances.jitter)
    if verdict.outcome == "retry":
        return Decision("retry", False, "hold", error.line, verdict.wait_seconds)
    if verdict.outcome == "pause":
        return Decision("pause", False, "pause", f'on_error = "pause": {error.line}')
    if verdict.outcome == "dead-letter" and failure_count >= failure_rules.pause_after:
        reason = f"{failure_count} failures in a row, the last: {error.line}"
        return Decision("dead-letter", True, "pause", reason)
    return Decision(verdict.outcome)


def step_for(
    decision: Decision, plugin_record: AnyPluginRecord, progress_before: Progress, call_key: CallKey
) -> Step:
    """Update a plugin's record, and return the step that writes the decision about a call.

    A plugin that leaves its lane stays at the event, before or after the callback; the lane
    continues without it.

    Args:
        decision: The decision about the call.
        plugin_record: The plugin's record; it is changed.
        progress_before: The progress at the call's event, with the callbacks that come before it
            done: the lane's, or that of a plugin separate from its lane.
        call_key: The callback.
    """
    ledger_step = Step(plugins=[plugin_record])
    progress_after = progress_before.with_done(call_key)
    if not plugin_record.apart:
        ledger_step.progress = progress_after
    if plugin_record.apart or not decision.stays:
        plugin_record.stop_at(
            (progress_after if decision.is_finished else progress_before).of(plugin_record.name)
        )
    return ledger_step


class AttemptedCall(Protocol):
    """A call that was attempted: which callback, which event, which attempt."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def callback_name(self) -> str:
        """The callback's name."""

    @property
    def seq(self) -> int:
        """The event's place in the journal; 0 if it is not in the journal."""

    @property
    def event_id(self) -> int:
        """The event's id."""

    @property
    def attempt(self) -> int:
        """The number of the attempt, from 1."""


def failure_of(
    attempted_call: AttemptedCall,
    error: RaisedError,
    failed_at: float,
    outcome: FailureOutcome = "",
) -> Failure:
    """Return the record of a failed call.

    Args:
        attempted_call: The call.
        error: The exception that it raised.
        failed_at: When, in seconds since 1970.
        outcome: The failure policy's decision; empty until it is made.
    """
    return Failure(
        plugin=attempted_call.plugin,
        callback=attempted_call.callback_name,
        seq=attempted_call.seq,
        event_id=attempted_call.event_id,
        attempt=attempted_call.attempt,
        error=error.line,
        traceback=error.traceback,
        at=failed_at,
        outcome=outcome,
    )
