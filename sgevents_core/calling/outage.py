"""Calls that fail because the site does not answer: put off until it does, not counted.

When a call fails, it may not be known yet whether the site is down or only this query failed. So
the call is put off either way, and counted later if it was its own fault.
"""

from __future__ import annotations

import traceback
from itertools import islice
from typing import Final

from sgevents_core.calling.error_links import linked_errors
from sgevents_core.calling.outcome import CallOutcome
from sgevents_core.calling.transient_names import MAX_LINKED_ERRORS

FIRST_WAIT: Final = 1.0
"""The most seconds after the site is back before a held plugin is called again."""
LONGEST_WAIT: Final = 60.0
"""The most seconds if an unstable site has answered other plugins but not this one."""
CLIENT_PACKAGE: Final = "shotgun_api3."
MAX_FRAMES: Final = 200


def waits_for_site(outcome: CallOutcome, *, is_site_down: bool) -> bool:
    """Return whether to hold a failed call until the site answers instead of judging it now.

    It does if the site did not answer, whatever the plugin raised then, or if it failed in a
    shotgun_api3 client that the plugin created. In a known outage, every transient failure waits
    too.

    Args:
        outcome: The outcome of the call.
        is_site_down: Whether the site is known not to answer.
    """
    if outcome.error is None:
        return False
    if outcome.site_unanswered:
        return True
    error_facts = outcome.error.facts
    return error_facts.is_transient and (is_site_down or error_facts.is_from_client)


def comes_from_client(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, was raised in shotgun_api3."""
    for linked_error in islice(linked_errors(error), MAX_LINKED_ERRORS):
        error_traceback = BaseException.__dict__["__traceback__"].__get__(linked_error)
        stack_frames = islice(traceback.walk_tb(error_traceback), MAX_FRAMES)
        if any(
            str(stack_frame.f_globals.get("__name__")).startswith(CLIENT_PACKAGE)
            for stack_frame, _ in stack_frames
        ):
            return True
    return False


def wait_after(failed_times: int, jitter: float) -> float:
    """Return how many seconds a plugin waits once the site answers again.

    Args:
        failed_times: How often it was put off since its last progress.
        jitter: A random number between 0 and 1, so that not all plugins call at once.
    """
    if failed_times <= 1:
        return FIRST_WAIT * jitter
    return min(FIRST_WAIT * 2.0 ** min(failed_times - 1, 10), LONGEST_WAIT) * (0.5 + jitter / 2)
