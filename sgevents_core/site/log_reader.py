"""One connection that reads a site's event log, and the questions that it can ask.

A call is made once; anything that goes wrong becomes one of the errors of `SiteError`, without
secrets in its text. The feed decides about retries.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Final, NamedTuple
from xmlrpc.client import ProtocolError

from sgevents_core.errors import (
    SiteAnswerError,
    SiteError,
    SiteFault,
    SiteRefused,
)
from sgevents_core.moments import retry_after_seconds
from sgevents_core.scripts import API_USER
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
    PageRange,
    Recent,
    Since,
)
from sgevents_core.site.ranges import Span
from sgevents_core.site.row_decoding import decode_rows
from sgevents_core.site.rows import answer_of
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
SINGLE_IDS: Final = 500
"""The most ids named one by one in a query; ranges beyond that are asked for as ranges."""
_FEWEST_ROWS: Final = 10
"""Rows asked for if one is needed: the first may be odd."""
LARGEST_LISTED_SPAN: Final = 4
"""Ranges up to this size are named id by id: `in` is the cheapest query for a site."""


NO_ANSWER: Final = (OSError, ProtocolError, HTTPException)
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
        self.date = _date_seconds(answer[1].get("date"))
        return answer

    def share_server_info(self, other: Reader) -> None:
        """Take what another client of the same site has learned of the site."""
        self._server_caps = other.server_caps


class Reading(NamedTuple):
    """What the site answered, and which scripts caused its rows: see `DecodedRows`."""

    answer: Answer
    scripts: Sequence[tuple[int, str]] = ()


class LogReader:
    """One connection to a site's event log, for one thread at a time.

    Args:
        site: The site and its credentials.
        fields: The fields to read.
    """

    def __init__(self, site: SiteSettings, fields: Sequence[str]) -> None:
        self._site = site
        self._fields = list(fields)
        self._client = Reader(
            site.url,
            script_name=site.script_name,
            api_key=site.api_key.reveal(),
            http_proxy=site.http_proxy,
            ca_certs=site.ca_certs,
            connect=False,
        )
        self._client.config.timeout_secs = site.timeout

    def another(self) -> LogReader:
        """Return another connection, which need not ask the site what this one knows of it."""
        other = LogReader(self._site, self._fields)
        with self.errors():
            other._client.share_server_info(self._client)
        return other

    def page_size(self) -> int:
        """Return the largest number of rows the site gives in one page; ask the site once."""
        with self.errors():
            return int(self._client.config.records_per_page)

    def schema(self) -> dict[str, dict[str, Any]]:
        """Return all entity types with their fields, as `schema_read` gives them."""
        with self.errors():
            return dict(self._client.schema_read())

    def read(self, call: Call) -> Reading:
        """Ask the site and return its answer, checked.

        Raises:
            SiteUnreachable: No answer, or an HTTP error.
            SiteAnswerError: An answer that is not valid.
            SiteRefused: The credentials are not accepted.
            SiteFault: The site understood the call and refused it.
        """
        asked_at = time.monotonic()
        with self.errors():
            if isinstance(call, Count):
                return Reading(Answer(count=self._count_rows(call.span), date=self._client.date))
            limit = (
                max(call.limit, _FEWEST_ROWS) if isinstance(call, Newest | Since) else call.limit
            )
            ids_only = isinstance(call, Ids | After)
            records = self._find_records(call, limit, ["id"] if ids_only else self._fields)
            took = time.monotonic() - asked_at
            rows = decode_rows(records, ids_only=ids_only)
            answer = answer_of(call, rows, limit, self._client.date)
        return Reading(replace(answer, asked_at=asked_at, took=took), tuple(rows.scripts))

    def find_scripts(self, filters: list[Any], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return the scripts (ApiUsers) that `filters` find, as the site gives them."""
        with self.errors():
            return [dict(script) for script in self._client.find(API_USER, filters, list(fields))]

    def close(self) -> None:
        """Close the connection; a call that another thread is making over it fails."""
        self._client.close()

    def _find_records(self, call: Call, limit: int, fields: list[str]) -> list[Any]:
        filters, direction = _filters_and_direction(call)
        order: list[Any] = [{"field_name": "id", "direction": direction}]
        return list(self._client.find(ENTITY, filters, fields, order, limit=limit))

    def _count_rows(self, span: Span) -> int:
        answer = self._client.summarize(
            ENTITY,
            filters=[["id", "between", span.first, span.last]],
            summary_fields=[{"field": "id", "type": "count"}],
        )
        return int(answer["summaries"]["id"])

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn whatever the block raises into an error of `SiteError`."""
        try:
            yield
        except SiteError:
            raise
        except AuthenticationFault as error:
            raise SiteRefused(
                url=self._site.url,
                script_name=self._site.script_name,
                reason=self._clean_text(error),
            ) from None
        except Fault as error:
            raise SiteFault(url=self._site.url, reason=self._clean_text(error)) from None
        except Exception as error:  # of the network, or of the client on garbage
            if isinstance(error, NO_ANSWER):
                after = _requested_wait(error)
                raise unreachable(self._site.url, error, self._clean_text(error), after) from None
            raise SiteAnswerError(url=self._site.url, reason=self._clean_text(error)) from None

    def _clean_text(self, error: BaseException) -> str:
        error_text = self._client.without_secrets(f"{type(error).__name__}: {error}")
        return " ".join(error_text.split())[:300]


def _filters_and_direction(call: Call) -> tuple[list[Any], str]:
    """Return a call's filters and direction."""
    match call:
        case Page() | After():
            return [["id", "greater_than", call.above]], "asc"
        case Newest():
            return ([["id", "less_than", call.below]] if call.below is not None else []), "desc"
        case Since():
            since_moment = datetime.fromtimestamp(call.at - 1, timezone.utc)
            return [["created_at", "greater_than", since_moment]], "asc"
        case Ids():
            return [["id", "between", call.span.first, call.span.last]], "asc"
        case PageRange() | Look() | Recent() | Fetch():
            return _filter_for_spans(call.spans), "asc"
        case Count():
            raise AssertionError("counts are summarized, not read")


def _filter_for_spans(spans: Sequence[Span]) -> list[Any]:
    """Return the filter for rows with an id in any of the ranges."""
    ids: list[int] = []
    ranges: list[list[Any]] = []
    for span in spans:
        if span.size <= LARGEST_LISTED_SPAN and len(ids) + span.size <= SINGLE_IDS:
            ids += range(span.first, span.last + 1)
        else:
            ranges.append(["id", "between", span.first, span.last])
    filters = [*([["id", "in", ids]] if ids else []), *ranges]
    return filters if len(filters) == 1 else [{"filter_operator": "any", "filters": filters}]


def _date_seconds(header: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(header).timestamp()) if header else None
    except ValueError:
        return None


def _requested_wait(error: BaseException) -> float | None:
    """Return how many seconds an answer asks to wait before the next call."""
    headers = getattr(error, "headers", None)
    asked = headers.get("retry-after") if isinstance(headers, dict) else None
    return None if asked is None else retry_after_seconds(str(asked), time.time())
