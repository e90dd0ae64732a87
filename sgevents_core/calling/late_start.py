"""The wait of a plugin whose `startup` failed because the site did not answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from sgevents_core.calling.outage import wait_after
from sgevents_core.site.health import SiteHealth, Standing
from sgevents_core.state.plugin_record import PluginRecord


class LateStart:
    """The late start of one plugin, in its lane's thread; until then it gets no events.

    Args:
        site_health: The health of the site.
        failed_at: When `startup` failed, in monotonic seconds.
        error_line: Its error, in one line.
    """

    def __init__(self, site_health: SiteHealth, failed_at: float, error_line: str) -> None:
        self.not_before: float | None = None
        """When to try again, in monotonic seconds; None while the site is not known to answer."""
        self.error_line = error_line
        self._site_health = site_health
        self._failed_at = failed_at
        self._try_count = 1
        self._reported_outage = 0

    def hold(self, plugin_record: PluginRecord) -> None:
        """Record that the plugin waits for the site."""
        plugin_record.hold(time.time(), f"its startup waits for the site: {self.error_line}")

    def start_at_once(self) -> None:
        """Try at the next turn, whatever the health of the site, because a person asked for it."""
        self.not_before = 0.0

    @property
    def is_own_fault(self) -> bool:
        """Whether the site answered others when `startup` failed."""
        return (
            self.not_before is None and self._site_health.standing(self._failed_at) is Standing.OWN
        )

    def is_due(self, report_wait: Callable[[str], object]) -> bool:
        """Return whether it is time to try again.

        Args:
            report_wait: Reports, once an outage, that the plugin waits; gets the error.
        """
        current_time = time.monotonic()
        if self.not_before is None:
            standing = self._site_health.standing(self._failed_at)
            if standing is not Standing.OVER:
                self._wait_for_site(standing, report_wait)
                return False
            jitter = random.random()  # noqa: S311 - no secret
            self.not_before = current_time + wait_after(self._try_count, jitter)
        return current_time >= self.not_before

    def _wait_for_site(self, standing: Standing, report_wait: Callable[[str], object]) -> None:
        if standing is Standing.UNKNOWN and not self._site_health.is_wanted:
            self._site_health.want()
        if standing is Standing.DOWN and self._reported_outage != self._site_health.outages:
            self._reported_outage = self._site_health.outages
            report_wait(self.error_line)

    def fail_again(self, failed_at: float) -> None:
        """Wait for the site once more."""
        self._failed_at, self._try_count = failed_at, self._try_count + 1
        self.not_before = None
