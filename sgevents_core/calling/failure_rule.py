"""A plugin's own rule for failures that pass by themselves: `retry_on`, and `failure_passes`.

It is a plugin's code, so it runs where errors are inspected, in limited time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from sgevents_core.calling.error_links import linked_errors
from sgevents_core.calling.transient_names import MAX_LINKED_ERRORS

if TYPE_CHECKING:
    from sgevents_core.calling.context import CallContext, Services
    from sgevents_core.calling.policy import FailureRule
    from sgevents_core.plugins.callback import Callback

FailurePasses: TypeAlias = Callable[[BaseException, "CallContext | None"], object]
logger = logging.getLogger("sgevents.dispatch")
_CLASSES_OF: Final = type.__dict__["__mro__"].__get__


class FailedRequest(Protocol):
    """A call that raised."""

    @property
    def callback(self) -> Callback:
        """The callback."""

    @property
    def services(self) -> Services:
        """The services of its plugin's calls."""

    @property
    def context(self) -> CallContext | None:
        """The callback's `ctx`."""


def failure_rule_of(request: FailedRequest) -> FailureRule | None:
    """Return the rule for failures of a call; None if callback and plugin have none."""
    retry_on, failure_passes = request.callback.retry_on, request.services.failure_passes
    if not retry_on and failure_passes is None:
        return None

    def judge_error(error: BaseException) -> bool | None:
        if _is_listed(error, retry_on):
            return True
        return None if failure_passes is None else _ask_plugin(failure_passes, request, error)

    return judge_error


def _is_listed(error: BaseException, retry_on: Sequence[type[BaseException]]) -> bool:
    """Return whether an error, or one that it wraps or was raised from, is of these classes."""
    if not retry_on:
        return False
    listed_classes = set(retry_on)
    return any(
        not listed_classes.isdisjoint(_CLASSES_OF(type(linked_error)))
        for linked_error in islice(linked_errors(error), MAX_LINKED_ERRORS)
    )


def _ask_plugin(
    failure_passes: FailurePasses, request: FailedRequest, error: BaseException
) -> bool | None:
    """Return the answer of the plugin's `failure_passes`; None if it raises or answers neither."""
    try:
        answer = failure_passes(error, request.context)
    except BaseException as rule_error:
        _report_rule(request, f"it raised {type(rule_error).__qualname__}")
        return None
    if answer is None or type(answer) is bool:
        return answer
    _report_rule(request, f"it returned a {type(answer).__qualname__} instead of True, False, None")
    return None


def _report_rule(request: FailedRequest, problem: str) -> None:
    plugin_name = request.callback.plugin
    logger.warning(
        "failure_passes of plugin %s does not count: %s",
        plugin_name,
        problem,
        extra={"action": "plugin.failure_rule_failed", "plugin": plugin_name},
    )
