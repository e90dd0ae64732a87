"""The console put together: an ASGI application of sites, pages, actions and the sign-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sgevents_core.console.acting import action_routes
from sgevents_core.console.answering import PageAnswers, page_routes
from sgevents_core.console.api_description import describe_api
from sgevents_core.console.gate import Gate
from sgevents_core.console.guard import Guard
from sgevents_core.console.overview_of_sites import sites_routes
from sgevents_core.console.pages import ACTIONS, PAGES, ROUTES
from sgevents_core.console.problems import PROBLEM_ANSWERS
from sgevents_core.console.rendering import page_environment
from sgevents_core.console.sites import Sites

STATIC_FOLDER: Final = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What a console is made of.

    Args:
        sites: The sites.
        gate: Who may come in.
        hosts: The names under which the console may be called, without ports.
        zone: The time zone of the site's host; None for the local one.
    """

    sites: Sites
    gate: Gate
    hosts: frozenset[str]
    zone: tzinfo | None = None


def make_console(parts: ConsoleParts) -> Starlette:
    """Return the console's application."""
    templates = page_environment(parts.zone, frozenset(page.name for page in PAGES))
    answers = PageAnswers(parts.sites, parts.gate, templates, PAGES, zone=parts.zone)
    console = Starlette(
        routes=list(_routes(answers)),
        middleware=[Middleware(Guard, hosts=parts.hosts)],
        exception_handlers={
            **dict.fromkeys(PROBLEM_ANSWERS, answers.answer_problem),
            Exception: answers.answer_failure,
        },
    )
    console.state.sites = parts.sites
    return console


def _routes(answers: PageAnswers) -> Iterator[BaseRoute]:
    yield Mount("/static", StaticFiles(directory=STATIC_FOLDER), name="static")
    yield from answers.gate.routes(answers)
    yield from sites_routes(answers)
    yield from page_routes(answers, PAGES)
    yield from action_routes(answers, ACTIONS)
    yield Route("/api/v1/openapi.json", describe_api(answers, PAGES, ACTIONS))
    for route in ROUTES:
        yield Route(route.path, route.answer, methods=list(route.methods))
    yield Route("/favicon.ico", _favicon)


async def _favicon(request: HttpRequest) -> Response:
    return RedirectResponse("/static/mark.svg", status_code=308)
