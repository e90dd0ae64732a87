"""The site's event log through shotgun_api3: asks what the feed needs, and checks the answers.

The feed decides about retries; here a call is made once, and anything that goes wrong becomes one
of the errors of `SiteError`, without secrets in its text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit
from xmlrpc.client import ProtocolError

from sgevents_core.errors import (
    SiteAnswerError,
    SiteError,
    SiteFault,
    SiteRefused,
)
from sgevents_core.moments import retry_after_seconds
from sgevents_core.observe import liveness
from sgevents_core.scripts import API_USER, NAME
from sgevents_core.settings import SiteSettings
from sgevents_core.site.bodies import decoded, decoded_rows
from sgevents_core.site.client_errors import unreachable
from sgevents_core.site.guarded import GuardedShotgun
from sgevents_core.site.questions import (
    After,
    Answer,
    Call,
    Count,
    Fetch,
    Ids,
    Look,
    Newest,
    Page,
    Recent,
    Since,
)
from sgevents_core.site.ranges import Span
from sgevents_core.site.row_decoding import decode_rows
from sgevents_core.site.rows import answer_of
from sgevents_core.site.script_lookup import ScriptLookup
from sgevents_core.site.stock_client import AuthenticationFault, Fault

ENTITY: Final = "EventLogEntry"
FIELDS: Final = (
    "id",
    "event_type",
    "attribute_name",
    "meta",
    "entity",
    "user",
    "project",
    "session_uuid",
    "created_at",
)
MOST_CALLS: Final = 4
"""The most calls, each with its own timeout, for one question of the feed."""
SINGLE_IDS: Final = 500
"""The most ids named one by one in a query; ranges beyond that are asked for as ranges."""
_FEWEST: Final = 10
"""Rows asked for if one is needed: the first may be odd."""
LISTED_SPAN: Final = 4
"""Ranges up to this size are named id by id: `in` is the cheapest query for a site."""


_NO_ANSWER: Final = (OSError, ProtocolError, HTTPException)
"""What the client raises if the site did not answer at all."""


class Reader(GuardedShotgun):
    """The client with a faster decoder, which leaves values as they were on the wire.

    Rows of the event log are left as JSON, timestamps elsewhere as the site wrote them: walking all
    values is most of the cost of `find`. `stock_values` does it when an event is made.
    """

    MAX_ATTEMPTS = 1
    date: int | None = None

    def _json_loads(self, body: str | bytes) -> Any:
        question = self._question
        if question is None or question.method != "read" or question.params["type"] != ENTITY:
            return decoded(body)
        return decoded_rows(body)

    def _transform_inbound(self, data: Any) -> Any:
        return data

    def _parse_records(self, records: Any) -> Any:
        return records

    def _http_request(self, *args: Any, **kwargs: Any) -> Any:
        answer = super()._http_request(*args, **kwargs)
        self.date = _seconds_of_date(answer[1].get("date"))
        return answer


class EventLog:
    """The reader of one site's event log.

    Args:
        site: The site and its credentials.
        fields: Fields to read besides the usual ones.
        scripts: Learns the names of scripts from the rows read; None if they are not needed.
    """

    def __init__(
        self,
        site: SiteSettings,
        fields: Sequence[str] = (),
        scripts: ScriptLookup | None = None,
    ) -> None:
        self._scripts = scripts
        self._secret = site.api_key.reveal()
        self._url = site.url
        self.host = urlsplit(site.url).hostname or ""
        self._script_name = site.script_name
        self._fields = list(dict.fromkeys((*FIELDS, *fields)))
        self._sg = Reader(
            site.url,
            script_name=site.script_name,
            api_key=self._secret,
            http_proxy=site.http_proxy,
            ca_certs=site.ca_certs,
            connect=False,
        )
        self._sg.config.timeout_secs = site.timeout
        self.longest_call = MOST_CALLS * site.timeout
        """Seconds that one question of the feed may take."""

    def page_size(self) -> int:
        """Return the largest number of rows the site gives in one page; ask the site once.

        Raises:
            SiteError: The site could not be asked.
        """
        with self._errors():
            return int(self._sg.config.records_per_page)

    def schema(self) -> dict[str, dict[str, Any]]:
        """Return all entity types with their fields, as `schema_read` gives them.

        Raises:
            SiteError: The site could not be asked.
        """
        with self._errors():
            return dict(self._sg.schema_read())

    def ask(self, call: Call) -> Answer:
        """Ask the site and return its answer, checked.

        Raises:
            SiteUnreachable: No answer, or an HTTP error.
            SiteAnswerError: An answer that is not valid.
            SiteRefused: The credentials are not accepted.
            SiteFault: The site understood the call and refused it.
        """
        if isinstance(call, Count):
            return Answer(count=self._count(call.span), date=self._sg.date)
        filters, direction = _question(call)
        fields = ["id"] if isinstance(call, Ids | After) else self._fields
        order: list[Any] = [{"field_name": "id", "direction": direction}]
        limit = max(call.limit, _FEWEST) if isinstance(call, Newest | Since) else call.limit
        with self._errors():
            records = list(self._sg.find(ENTITY, filters, fields, order, limit=limit))
            rows = decode_rows(records, ids_only=isinstance(call, Ids | After))
        date = self._sg.date
        if self._scripts is not None and not isinstance(call, Ids | After):
            self._scripts.look(rows.scripts, self.scripts)
        with self._errors():
            return answer_of(call, rows, limit, date)

    def scripts(self, filters: list[Any], fields: Sequence[str] = (NAME,)) -> list[dict[str, Any]]:
        """Return the scripts (ApiUsers) that `filters` find, as the site gives them.

        Raises:
            SiteError: The site could not be asked, or does not let them be read.
        """
        liveness.report_alive(self.longest_call)
        with self._errors():
            found = self._sg.find(API_USER, filters, list(fields))
            return [dict(one) for one in found]

    def close(self) -> None:
        """Close the connection."""
        self._sg.close()

    def _count(self, span: Span) -> int:
        with self._errors():
            answer = self._sg.summarize(
                ENTITY,
                filters=[["id", "between", span.first, span.last]],
                summary_fields=[{"field": "id", "type": "count"}],
            )
            return int(answer["summaries"]["id"])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SiteError:
            raise
        except AuthenticationFault as error:
            raise SiteRefused(
                url=self._url, script_name=self._script_name, reason=self._clean(error)
            ) from None
        except Fault as error:
            raise SiteFault(url=self._url, reason=self._clean(error)) from None
        except Exception as error:  # of the network, or of the client on garbage
            if isinstance(error, _NO_ANSWER):
                after = _asked_wait(error)
                raise unreachable(self._url, error, self._clean(error), after) from None
            raise SiteAnswerError(url=self._url, reason=self._clean(error)) from None

    def _clean(self, error: BaseException) -> str:
        text = self._sg.without_secrets(f"{type(error).__name__}: {error}")
        return " ".join(text.split())[:300]


def _question(call: Call) -> tuple[list[Any], str]:
    """Return a call's filters and direction."""
    match call:
        case Page() | After():
            return [["id", "greater_than", call.above]], "asc"
        case Newest():
            return ([["id", "less_than", call.below]] if call.below is not None else []), "desc"
        case Since():
            at = datetime.fromtimestamp(call.at - 1, timezone.utc)
            return [["created_at", "greater_than", at]], "asc"
        case Ids():
            return [["id", "between", call.span.first, call.span.last]], "asc"
        case Look() | Recent() | Fetch():
            return _any_of(call.spans), "asc"
        case Count():
            raise AssertionError("counts are summarized, not read")


def _any_of(spans: Sequence[Span]) -> list[Any]:
    """Return the filter for rows with an id in any of the ranges."""
    ids: list[int] = []
    ranges: list[list[Any]] = []
    for span in spans:
        if span.size <= LISTED_SPAN and len(ids) + span.size <= SINGLE_IDS:
            ids += range(span.first, span.last + 1)
        else:
            ranges.append(["id", "between", span.first, span.last])
    filters = [*([["id", "in", ids]] if ids else []), *ranges]
    return filters if len(filters) == 1 else [{"filter_operator": "any", "filters": filters}]


def _seconds_of_date(header: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(header).timestamp()) if header else None
    except ValueError:
        return None


def has_answered(error: BaseException) -> bool | None:
    """Return whether the site answered the call that raised; None if it was not asked, or may have.

    Args:
        error: What a client of shotgun_api3's kind raised.
    """
    if isinstance(error, AuthenticationFault):
        return False  # if the feed is accepted, the script itself is at fault
    if isinstance(error, Fault):
        return True
    no_answer = isinstance(error, (*_NO_ANSWER, SiteError))
    return False if no_answer else None


def _asked_wait(error: BaseException) -> float | None:
    """Return how many seconds an answer asks to wait before the next call."""
    headers = getattr(error, "headers", None)
    asked = headers.get("retry-after") if isinstance(headers, dict) else None
    return None if asked is None else retry_after_seconds(str(asked), time.time())
