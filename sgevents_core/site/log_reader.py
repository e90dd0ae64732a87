"""One connection that reads a site's event log, and its queries.

Each call is sent once; any failure becomes a subclass of `SiteError`, without secrets in its text.
The feed decides about retries.
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
from sgevents_core.site.bodies import answer_with_raw_rows, decoded
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
"""The most ids named one by one in a query; ranges beyond that are requested as ranges."""
_FEWEST_ROWS: Final = 10
"""Rows requested if one is needed: the first may be odd."""
LARGEST_LISTED_SPAN: Final = 4
"""Ranges up to this size are named id by id: `in` is the cheapest query for a site."""


NO_ANSWER: Final = (OSError, ProtocolError, HTTPException)
"""The exceptions that the client raises if the site did not answer at all."""


class LogClient(GuardedShotgun):
    """The client of the event log: it has a faster decoder, which leaves values as they were sent.

    Rows of the event log are left as JSON, timestamps elsewhere as the site wrote them: walking all
    values is most of the cost of `find`. `stock_values` does it when an event is made.
    """

    MAX_ATTEMPTS = 1
    date: int | None = None

    def _json_loads(self, json_body: str | bytes) -> Any:
        rpc_question = self._question
        if (
            rpc_question is None
            or rpc_question.method != "read"
            or rpc_question.params["type"] != ENTITY
        ):
            return decoded(json_body)
        return answer_with_raw_rows(json_body)

    def _transform_inbound(self, response_data: Any) -> Any:
        return response_data

    def _parse_records(self, response_records: Any) -> Any:
        return response_records

    def _http_request(self, *args: Any, **kwargs: Any) -> Any:
        answer = super()._http_request(*args, **kwargs)
        self.date = _date_seconds(answer[1].get("date"))
        return answer

    def share_server_info(self, other_reader: LogClient) -> None:
        """Take over the server information that another client has read from the same site."""
        self._server_caps = other_reader.server_caps


class Reading(NamedTuple):
    """The site's answer, and the scripts that caused its rows: see `DecodedRows`."""

    answer: Answer
    scripts: Sequence[tuple[int, str]] = ()


class LogReader:
    """One connection to a site's event log, for one thread at a time.

    Args:
        site_settings: The site and its credentials.
        fields: The fields to read.
    """

    def __init__(self, site_settings: SiteSettings, fields: Sequence[str]) -> None:
        self._site = site_settings
        self._fields = list(fields)
        self._client = LogClient(
            site_settings.url,
            script_name=site_settings.script_name,
            api_key=site_settings.api_key.reveal(),
            http_proxy=site_settings.http_proxy,
            ca_certs=site_settings.ca_certs,
            connect=False,
        )
        self._client.config.timeout_secs = site_settings.timeout

    def another(self) -> LogReader:
        """Return another connection, which shares this one's server information."""
        other_reader = LogReader(self._site, self._fields)
        with self.errors():
            other_reader._client.share_server_info(self._client)
        return other_reader

    def page_size(self) -> int:
        """Return the largest number of rows the site gives in one page; ask the site once."""
        with self.errors():
            return int(self._client.config.records_per_page)

    def schema(self) -> dict[str, dict[str, Any]]:
        """Return all entity types with their fields, as `schema_read` gives them."""
        with self.errors():
            return dict(self._client.schema_read())

    def read(self, site_call: Call) -> Reading:
        """Ask the site and return its answer, checked.

        Raises:
            SiteUnreachable: No answer, or an HTTP error.
            SiteAnswerError: An answer that is not valid.
            SiteRefused: The credentials are not accepted.
            SiteFault: The site understood the call and refused it.
        """
        asked_at = time.monotonic()
        with self.errors():
            if isinstance(site_call, Count):
                return Reading(
                    Answer(count=self._count_rows(site_call.span), date=self._client.date)
                )
            row_limit = (
                max(site_call.limit, _FEWEST_ROWS)
                if isinstance(site_call, Newest | Since)
                else site_call.limit
            )
            ids_only = isinstance(site_call, Ids | After)
            response_records = self._find_records(
                site_call, row_limit, ["id"] if ids_only else self._fields
            )
            seconds_taken = time.monotonic() - asked_at
            decoded_rows = decode_rows(response_records, ids_only=ids_only)
            answer = answer_of(site_call, decoded_rows, row_limit, self._client.date)
        return Reading(
            replace(answer, asked_at=asked_at, took=seconds_taken), tuple(decoded_rows.scripts)
        )

    def find_scripts(self, filters: list[Any], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return the scripts (ApiUsers) that match `filters`, as the site returns them."""
        with self.errors():
            return [
                dict(script_name)
                for script_name in self._client.find(API_USER, filters, list(fields))
            ]

    def close(self) -> None:
        """Close the connection; a call that another thread is making over it fails."""
        self._client.close()

    def _find_records(self, site_call: Call, row_limit: int, fields: list[str]) -> list[Any]:
        filters, sort_direction = _filters_and_direction(site_call)
        sort_order: list[Any] = [{"field_name": "id", "direction": sort_direction}]
        return list(self._client.find(ENTITY, filters, fields, sort_order, limit=row_limit))

    def _count_rows(self, id_span: Span) -> int:
        answer = self._client.summarize(
            ENTITY,
            filters=[["id", "between", id_span.first, id_span.last]],
            summary_fields=[{"field": "id", "type": "count"}],
        )
        return int(answer["summaries"]["id"])

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn any exception of the block into a subclass of `SiteError`."""
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
        except Exception as error:  # a network error, or the client's own on an invalid answer
            if isinstance(error, NO_ANSWER):
                after = _requested_wait(error)
                raise unreachable(self._site.url, error, self._clean_text(error), after) from None
            raise SiteAnswerError(url=self._site.url, reason=self._clean_text(error)) from None

    def _clean_text(self, error: BaseException) -> str:
        error_text = self._client.without_secrets(f"{type(error).__name__}: {error}")
        return " ".join(error_text.split())[:300]


def _filters_and_direction(site_call: Call) -> tuple[list[Any], str]:
    """Return a call's filters and direction."""
    match site_call:
        case Page() | After():
            return [["id", "greater_than", site_call.above]], "asc"
        case Newest():
            return (
                [["id", "less_than", site_call.below]] if site_call.below is not None else []
            ), "desc"
        case Since():
            since_moment = datetime.fromtimestamp(site_call.at - 1, timezone.utc)
            return [["created_at", "greater_than", since_moment]], "asc"
        case Ids():
            return [["id", "between", site_call.span.first, site_call.span.last]], "asc"
        case PageRange() | Look() | Recent() | Fetch():
            return _filter_for_spans(site_call.spans), "asc"
        case Count():
            raise AssertionError("counts are summarized, not read")


def _filter_for_spans(id_spans: Sequence[Span]) -> list[Any]:
    """Return the filter for rows with an id in any of the ranges."""
    event_ids: list[int] = []
    id_ranges: list[list[Any]] = []
    for id_span in id_spans:
        if id_span.size <= LARGEST_LISTED_SPAN and len(event_ids) + id_span.size <= SINGLE_IDS:
            event_ids += range(id_span.first, id_span.last + 1)
        else:
            id_ranges.append(["id", "between", id_span.first, id_span.last])
    filters = [*([["id", "in", event_ids]] if event_ids else []), *id_ranges]
    return filters if len(filters) == 1 else [{"filter_operator": "any", "filters": filters}]


def _date_seconds(date_header: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(date_header).timestamp()) if date_header else None
    except ValueError:
        return None


def _requested_wait(error: BaseException) -> float | None:
    """Return the seconds that an answer asks the client to wait before the next call."""
    headers = getattr(error, "headers", None)
    requested_seconds = headers.get("retry-after") if isinstance(headers, dict) else None
    return (
        None
        if requested_seconds is None
        else retry_after_seconds(str(requested_seconds), time.time())
    )
