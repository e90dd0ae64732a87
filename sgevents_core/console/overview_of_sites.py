"""The first page: all sites of the console, with the time each daemon last spoke."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sgevents_core.console.answering import API_ROOT, PageAnswers, json_answer
from sgevents_core.console.page import View, utc_time
from sgevents_core.console.sites import ConsoleSite
from sgevents_core.errors import StateError
from sgevents_core.reading.overview import Overview, read_overview
from sgevents_core.state.pulse import STALE_AFTER

SITES_SUMMARY: Final = "List the sites, each with the time its daemon last spoke."


class SiteLine(View, frozen=True, kw_only=True):
    """One site of the overview of all."""

    slug: str
    title: str
    daemon: Literal["running", "not moving", "not running", "never ran", "unreadable"]
    spoke_at: datetime | None
    newest_id: int | None
    needs: list[str]
    """What needs a person, the most urgent first."""
    problem: str


class SitesView(View, frozen=True, kw_only=True):
    """All sites of the console."""

    sites: list[SiteLine]


def sites_routes(page_answers: PageAnswers) -> Iterator[Route]:
    """Yield the routes of the overview of all sites, as HTML and as JSON."""
    yield Route("/", partial(_answer_html, page_answers))
    yield Route(f"{API_ROOT}/sites", partial(_answer_json, page_answers))


async def _answer_html(page_answers: PageAnswers, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    if len(page_answers.sites) == 1 and "all" not in request.query_params:
        response: Response = RedirectResponse(f"/sites/{next(iter(page_answers.sites)).slug}/", 303)
        page_answers.gate.keep_session(request, response, session)
        return response
    template_values = {
        "view": await run_in_threadpool(_read_plain, page_answers),
        "now": time.time(),
    }
    return page_answers.html(request, "sites.html", template_values, session=session)


async def _answer_json(page_answers: PageAnswers, request: HttpRequest) -> Response:
    page_answers.gate.enter(request)
    return json_answer(await run_in_threadpool(_read_plain, page_answers))


def _read_plain(page_answers: PageAnswers) -> Any:
    current_time = time.time()
    site_lines = [
        site.redactor.in_value(msgspec.to_builtins(_read_site_line(site, current_time)))
        for site in page_answers.sites
    ]
    return {"sites": site_lines}


def _read_site_line(site: ConsoleSite, current_time: float) -> SiteLine:
    settings = site.settings
    enabled_plugins = frozenset(name for name, table in settings.plugins.items() if table.enabled)
    try:
        overview = read_overview(site.state_folder, enabled_plugins)
    except StateError as error:
        return _site_line(site, "unreadable", problem=str(error))
    if overview is None:
        return _site_line(site, "never ran", problem="Nothing has run on this state yet.")
    return _site_line(
        site,
        daemon_words(overview, current_time),
        spoke_at=overview.pulse.at if overview.pulse else 0.0,
        newest_id=overview.feed.newest_id if overview.feed else None,
        needs=[need.text for need in overview.needs(current_time)],
    )


def daemon_words(
    overview: Overview, current_time: float
) -> Literal["running", "not moving", "not running"]:
    """Return in a word or two whether a daemon runs and moves."""
    if overview.pid is None:
        return "not running"
    is_moving = overview.pulse is not None and current_time - overview.pulse.at <= STALE_AFTER
    return "running" if is_moving else "not moving"


def _site_line(
    site: ConsoleSite,
    daemon: Literal["running", "not moving", "not running", "never ran", "unreadable"],
    *,
    spoke_at: float = 0.0,
    newest_id: int | None = None,
    needs: list[str] | None = None,
    problem: str = "",
) -> SiteLine:
    return SiteLine(
        slug=site.slug,
        title=site.title,
        daemon=daemon,
        spoke_at=utc_time(spoke_at),
        newest_id=newest_id,
        needs=needs or [],
        problem=problem or site.config_problem,
    )
