"""The site's event log: sends the feed's queries, over one connection or several.

It also looks up the names of scripts that appear in rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sgevents_core.errors import SiteError
from sgevents_core.observe import liveness
from sgevents_core.scripts import NAME
from sgevents_core.settings import SiteSettings
from sgevents_core.site.log_reader import FIELDS, NO_ANSWER, LogReader
from sgevents_core.site.questions import Answer, Call, PageRange
from sgevents_core.site.range_readers import RangeReaders
from sgevents_core.site.script_lookup import Lookup
from sgevents_core.site.stock_client import AuthenticationFault, Fault

MOST_CALLS: Final = 4
"""The most calls, each with its own timeout, for one query of the feed."""


class EventLog:
    """A reader of one site's event log.

    Args:
        site_settings: The site and its credentials.
        extra_fields: Fields to read besides the usual ones.
        script_lookup: Learns the names of the scripts in the rows; None if names are not needed.
    """

    def __init__(
        self,
        site_settings: SiteSettings,
        extra_fields: Sequence[str] = (),
        script_lookup: Lookup | None = None,
    ) -> None:
        self._scripts = script_lookup
        self.host = urlsplit(site_settings.url).hostname or ""
        self._reader = LogReader(site_settings, tuple(dict.fromkeys((*FIELDS, *extra_fields))))
        self._range_readers = RangeReaders(self._reader.another)
        self.longest_call = MOST_CALLS * site_settings.timeout
        """Seconds that one query of the feed may take."""

    def page_size(self) -> int:
        """Return the largest number of rows the site gives in one page; ask the site once.

        Raises:
            SiteError: The site could not be asked.
        """
        return self._reader.page_size()

    def schema(self) -> dict[str, dict[str, Any]]:
        """Return all entity types with their fields, as `schema_read` gives them.

        Raises:
            SiteError: The site could not be asked.
        """
        return self._reader.schema()

    def read_ahead(self, range_calls: Sequence[PageRange], connection_count: int) -> None:
        """Request ranges on connections of their own, and give up all others being read ahead.

        Args:
            range_calls: The next ranges to request, in order.
            connection_count: How many ranges to request at the same time.
        """
        self._range_readers.read_ahead(range_calls, connection_count)

    def ask(self, site_call: Call) -> Answer:
        """Ask the site and return its answer, checked; for a range read ahead, wait for it.

        Raises:
            SiteUnreachable: No answer, or an HTTP error.
            SiteAnswerError: An answer that is not valid.
            SiteRefused: The credentials are not accepted.
            SiteFault: The site understood the call and refused it.
        """
        if isinstance(site_call, PageRange):
            site_reading = self._range_readers.wait(site_call)
        else:
            site_reading = self._reader.read(site_call)
        if site_reading.answer.rows:
            self.look_up_scripts(site_reading.scripts)
        return site_reading.answer

    def look_up_scripts(self, row_scripts: Iterable[tuple[int, str]]) -> None:
        """Learn the names of scripts that rows show, each given as its id and name."""
        if self._scripts is not None:
            self._scripts.look(row_scripts, self.scripts)

    def scripts(
        self, script_filters: list[Any], script_fields: Sequence[str] = (NAME,)
    ) -> list[dict[str, Any]]:
        """Return the scripts (ApiUsers) that match `script_filters`, as the site returns them.

        Raises:
            SiteError: The site could not be asked, or refuses to show its scripts.
        """
        liveness.report_alive(self.longest_call)
        return self._reader.find_scripts(script_filters, script_fields)

    def close(self) -> None:
        """Close all connections."""
        self._range_readers.close()
        self._reader.close()


def has_answered(error: BaseException) -> bool | None:
    """Return whether the site answered the call that raised; None if that is not known.

    Args:
        error: The exception that a client derived from shotgun_api3 raised.
    """
    if isinstance(error, AuthenticationFault):
        return False  # if the site accepts the feed's script, the plugin's own script is at fault
    if isinstance(error, Fault):
        return True
    no_answer = isinstance(error, (*NO_ANSWER, SiteError))
    return False if no_answer else None
