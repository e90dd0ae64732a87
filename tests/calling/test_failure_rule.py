"""A plugin's own rule for failures that pass by themselves: `retry_on` and `failure_passes`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from sgevents_core import Retry, hookimpl, match
from sgevents_core.calling.outcome import ErrorFacts
from sgevents_core.calling.policy import FailureRules, Verdict, judge
from sgevents_core.errors import MatchError
from sgevents_core.testing import EventBuilder, Harness


class RenderFull(Exception):
    """What a farm's client raises; nothing in it says that it passes."""

    def __init__(self, retry_after: object = None) -> None:
        super().__init__("no free slot")
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


class WrapsFull(Exception):
    """An error that a studio raises from another."""


def _plugin(raise_error: Callable[[], None], rule: Any = None, **options: Any) -> Any:
    @hookimpl
    @match(**options)
    def on_new(event: Any, ctx: Any) -> None:
        raise_error()

    plugin = SimpleNamespace(on_new=on_new)
    if rule is not None:
        plugin.failure_passes = hookimpl(specname="failure_passes")(rule)
    return plugin


def _never(error: BaseException) -> bool:
    return False


def _outcomes(plugin: Any, **table: Any) -> list[str]:
    with Harness(plugin, "farm", **table) as harness:
        result = harness.run(EventBuilder().new("Shot"))
    return [call.outcome for call in result.calls]


def _raise(error: BaseException, cause: BaseException | None = None) -> Callable[[], None]:
    def raise_error() -> None:
        raise error from cause

    return raise_error


@pytest.mark.parametrize("retry_on", [RenderFull, (RenderFull,), [KeyError, RenderFull]])
def test_errors_that_a_callback_lists_pass(retry_on: Any) -> None:
    """A callback whose `retry_on` lists a class of errors is called again, up to `max_attempts`."""
    plugin = _plugin(_raise(RenderFull()), retry_on=retry_on, max_attempts=3)
    assert _outcomes(plugin) == ["retry", "retry", "dead-letter"]


def test_errors_raised_from_what_a_callback_lists() -> None:
    """A studio's own error that is raised from a listed one passes too."""
    plugin = _plugin(_raise(WrapsFull(), RenderFull()), retry_on=RenderFull, max_attempts=2)
    assert _outcomes(plugin) == ["retry", "dead-letter"]


def test_other_errors_are_judged_as_ever() -> None:
    """What is not listed is judged by the rules of all plugins."""
    bug = _plugin(_raise(KeyError("no")), retry_on=RenderFull)
    network = _plugin(_raise(ConnectionResetError()), retry_on=RenderFull, max_attempts=2)
    assert _outcomes(bug) == ["dead-letter"]
    assert _outcomes(network) == ["retry", "dead-letter"]


def test_attempts_of_a_callback_come_before_the_plugins() -> None:
    """A callback's `max_attempts` counts, not its plugin's; the default is ten."""
    limited = _plugin(_raise(ConnectionResetError()), max_attempts=2)
    assert len(_outcomes(limited, max_attempts=5)) == 2
    assert len(_outcomes(_plugin(_raise(ConnectionResetError())))) == 10


def test_what_is_listed_is_tried_again_where_events_may_be_skipped() -> None:
    """`on_error = "skip"` waits for no network, but for what the plugin itself lists."""
    listed = _plugin(_raise(RenderFull()), retry_on=RenderFull, max_attempts=2, on_error="skip")
    assert _outcomes(listed) == ["retry", "skip"]


@pytest.mark.parametrize(
    ("answer", "error", "expected"),
    [
        (True, KeyError("x"), ["retry", "dead-letter"]),
        (False, ConnectionResetError(), ["dead-letter"]),
        (None, ConnectionResetError(), ["retry", "dead-letter"]),
        (None, KeyError("x"), ["dead-letter"]),
    ],
)
def test_a_plugins_rule_decides_for_its_callbacks(
    answer: bool | None, error: BaseException, expected: list[str]
) -> None:
    """True passes, False does not, None leaves it to the rules of all plugins."""

    def rule(error: BaseException) -> bool | None:
        return answer

    assert _outcomes(_plugin(_raise(error), rule, max_attempts=2)) == expected


def test_a_plugins_rule_knows_the_call() -> None:
    """The rule gets the error and the `ctx` of the failed call."""
    seen = []

    def rule(error: BaseException, ctx: Any) -> bool:
        seen.append((str(error), ctx.attempt, ctx.settings["limit"]))
        return bool(ctx.attempt < ctx.settings["limit"])

    plugin = _plugin(_raise(RenderFull()), rule)
    assert _outcomes(plugin, settings={"limit": 2}) == ["retry", "dead-letter"]
    assert seen == [("no free slot", 1, 2), ("no free slot", 2, 2)]


@pytest.mark.parametrize("answer", ["yes", 1, 0, OSError])
def test_a_rule_that_answers_neither(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that is not True, False or None, and a rule that raises, are reported; the rules
    of all plugins apply."""

    def rule(error: BaseException) -> Any:
        if answer is OSError:
            raise OSError("no")
        return answer

    plugin = _plugin(_raise(ConnectionResetError()), rule, max_attempts=2)
    assert _outcomes(plugin) == ["retry", "dead-letter"]
    reports = [one for one in caplog.records if getattr(one, "action", "").endswith("rule_failed")]
    assert {one.__dict__["plugin"] for one in reports} == {"farm"}


def test_a_retry_that_is_asked_for_is_no_matter_of_rules() -> None:
    """`Retry` is not judged: the plugin's rule is not asked."""
    plugin = _plugin(_raise(Retry("later")), _never, max_attempts=2)
    assert _outcomes(plugin) == ["retry", "dead-letter"]


def test_waits_of_answers_count_for_listed_errors() -> None:
    """`Retry-After` of an answer is used for an error that only the plugin knows to pass."""
    plugin = _plugin(_raise(RenderFull(40)), retry_on=RenderFull, max_attempts=2)
    with Harness(plugin, "farm") as harness:
        result = harness.run(EventBuilder().new("Shot"))
    assert result.calls[0].wait == pytest.approx(40, abs=0.1)


def test_listed_errors_are_no_request_for_at_once() -> None:
    """A server that says `Retry-After: 0` shortens no wait."""
    facts = ErrorFacts(is_transient=True, is_listed=True, retry_after=0.0)
    assert judge(facts, 4, FailureRules(), 1.0) == Verdict("retry", 8.0)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry_on": "HTTPError"}, "retry_on='HTTPError' is no class of errors"),
        ({"retry_on": [404]}, "retry_on: 404 is no class of errors"),
        ({"retry_on": int}, "is no class of errors"),
        ({"retry_on": KeyError("x")}, "is no class of errors"),
        ({"max_attempts": 0}, "max_attempts=0 is no number of calls"),
        ({"max_attempts": "3"}, "max_attempts='3' is no number of calls"),
        ({"max_attempts": True}, "max_attempts=True is no number of calls"),
    ],
)
def test_wrong_options_are_refused_where_they_are_written(
    options: dict[str, Any], problem: str
) -> None:
    """The message says what is wrong and what to give."""
    with pytest.raises(MatchError, match=problem.replace("(", r"\(")):
        match(**options)
