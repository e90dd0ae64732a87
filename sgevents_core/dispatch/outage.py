"""Calls that fail because the site does not answer: held without an attempt until it does.

When a call fails, nobody may know yet whether the site is down for all or only for its query. So
the call is put off either way, and charged later if it was its own fault.
"""

from __future__ import annotations

from typing import Final

from sgevents_core.dispatch.contact import SiteContact
from sgevents_core.dispatch.policy import Raised
from sgevents_core.errors import CallbackTimeout

FIRST_WAIT: Final = 1.0
"""Most seconds after the site is back in which a held plugin is called again."""
LONGEST_WAIT: Final = 60.0
"""The same where a site that comes and goes has answered others and not the plugin."""
_SLACK: Final = 0.001


def is_put_off(
    contact: SiteContact,
    error: BaseException,
    raised: Raised,
    *,
    began: float,
) -> bool:
    """Return whether a failed call waits for the site, instead of being judged now.

    One that the site did not answer does, whatever the plugin made of that. In an outage that is
    known, others that pass by themselves do as well: plugins have connections of their own.

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
    return contact.failed >= began - _SLACK or hangs or (raised.passes and health.is_down)


def wait_after(times: int, jitter: float) -> float:
    """Return how long a plugin waits once the site answers again, in seconds.

    Args:
        times: How often it was put off since it last got on.
        jitter: A random number between 0 and 1: not all are to come at once.
    """
    if times <= 1:
        return FIRST_WAIT * jitter
    return min(FIRST_WAIT * 2.0 ** min(times - 1, 10), LONGEST_WAIT) * (0.5 + jitter / 2)
