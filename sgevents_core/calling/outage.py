"""Calls that fail because the site does not answer: held without an attempt until it does.

When a call fails, nobody may know yet whether the site is down for all or only for its query. So
the call is put off either way, and charged later if it was its own fault.
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
"""Most seconds after the site is back in which a held plugin is called again."""
LONGEST_WAIT: Final = 60.0
"""The same where a site that comes and goes has answered others and not the plugin."""
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
    """Return whether a failed call waits for the site, instead of being judged now.

    One that the site did not answer does, whatever the plugin made of that, and one that failed in
    a client of shotgun_api3 that the plugin has made itself. In an outage that is known, all others
    that pass by themselves do as well.

    Args:
        contact: What is known of the plugin's calls to the site.
        error: What was raised.
        raised: What matters of it.
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
    """Return whether an error was raised in shotgun_api3, or from one that was."""
    for one in islice(behind(error), MOST_LINKS):
        trace = BaseException.__dict__["__traceback__"].__get__(one)
        frames = islice(traceback.walk_tb(trace), MOST_FRAMES)
        if any(str(frame.f_globals.get("__name__")).startswith(CLIENT) for frame, _ in frames):
            return True
    return False


def wait_after(times: int, jitter: float) -> float:
    """Return how long a plugin waits once the site answers again, in seconds.

    Args:
        times: How often it was put off since it last got on.
        jitter: A random number between 0 and 1: not all are to come at once.
    """
    if times <= 1:
        return FIRST_WAIT * jitter
    return min(FIRST_WAIT * 2.0 ** min(times - 1, 10), LONGEST_WAIT) * (0.5 + jitter / 2)
