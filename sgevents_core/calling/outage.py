"""Calls that fail because the site does not answer: put off until it does, at no attempt.

When a call fails, it may not be known yet whether the site is down or only this query failed. So
the call is put off either way, and counted later if it was its own fault.
"""

from __future__ import annotations

import traceback
from itertools import islice
from typing import Final

from sgevents_core.calling.contact import SiteContact
from sgevents_core.calling.passing import behind
from sgevents_core.calling.passing_names import MOST_LINKS
from sgevents_core.calling.policy import Raised
from sgevents_core.errors import CallbackTimeout

FIRST_WAIT: Final = 1.0
"""The most seconds after the site is back before a held plugin is called again."""
LONGEST_WAIT: Final = 60.0
"""The same if an unstable site has answered others but not the plugin."""
_SLACK: Final = 0.001
CLIENT: Final = "shotgun_api3."
MOST_FRAMES: Final = 200


def is_put_off(
    contact: SiteContact,
    error: BaseException,
    raised: Raised,
    *,
    began: float,
) -> bool:
    """Return whether a failed call waits for the site instead of being judged now.

    It does if the site did not answer, whatever the plugin raised then, or if it failed in a
    shotgun_api3 client that the plugin created. In a known outage, every transient failure waits
    too.

    Args:
        contact: The record of the plugin's calls to the site.
        error: What was raised.
        raised: The relevant facts about it.
        began: When the call began, in monotonic seconds.
    """
    health = contact.health
    if health is None:
        return False
    hangs = type(error) is CallbackTimeout and contact.waits
    if contact.failed >= began - _SLACK or hangs:
        return True
    return raised.passes and (health.is_down or _comes_from_client(error))


def _comes_from_client(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, was raised in shotgun_api3."""
    for one in islice(behind(error), MOST_LINKS):
        trace = BaseException.__dict__["__traceback__"].__get__(one)
        frames = islice(traceback.walk_tb(trace), MOST_FRAMES)
        if any(str(frame.f_globals.get("__name__")).startswith(CLIENT) for frame, _ in frames):
            return True
    return False


def wait_after(times: int, jitter: float) -> float:
    """Return how many seconds a plugin waits once the site answers again.

    Args:
        times: How often it was put off since its last progress.
        jitter: A random number between 0 and 1, so that not all plugins call at once.
    """
    if times <= 1:
        return FIRST_WAIT * jitter
    return min(FIRST_WAIT * 2.0 ** min(times - 1, 10), LONGEST_WAIT) * (0.5 + jitter / 2)
