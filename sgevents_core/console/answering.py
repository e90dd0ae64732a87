"""Answering a page: one reading of its view, as HTML for people and as JSON for programs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sgevents_core.console.gate import Gate, Session
from sgevents_core.console.guard import add_headers
from sgevents_core.console.page import Page, Person, Query, Visit
from sgevents_core.console.problems import (
    BadQuery,
    ConsoleFailure,
    ConsoleProblem,
    NotAllowed,
    PageMissing,
    SignInNeeded,
    problem_of,
)
from sgevents_core.console.shared_views import SharedViews
from sgevents_core.console.sites import ConsoleSite, Sites
from sgevents_core.printable import escaped_json, one_line
from sgevents_core.reading.daemon_standing import read_daemon_need

API_ROOT: Final = "/api/v1"
logger: Final = logging.getLogger("sgevents.console")
_T = TypeVar("_T")
_S = TypeVar("_S", bound=msgspec.Struct)


class PageAnswers:
    """Answers calls for pages, by a site, a person and a template.

    Args:
        sites: The console's sites.
        gate: Who may come in.
        templates: The environment of the templates.
        pages: The pages, for the navigation.
        zone: The studio's time zone; None for that of this machine.
    """

    def __init__(
        self,
        sites: Sites,
        gate: Gate,
        templates: Environment,
        pages: Sequence[Page],
        *,
        zone: tzinfo | None = None,
    ) -> None:
        self.sites = sites
        self._all_pages = pages
        self._studio_zone = zone
        self.gate = gate
        self._page_templates = templates
        self._shared_views = SharedViews()

    def visit_of(self, request: HttpRequest, person: Person) -> Visit:
        """Return a person's visit to the site that the address names."""
        return Visit(self.site_of(request), person, time.time(), self._studio_zone)

    def site_of(self, request: HttpRequest) -> ConsoleSite:
        """Return the site that the address names."""
        slug = request.path_params["site"]
        site = self.sites.get(slug)
        if site is None:
            raise PageMissing(f"There is no site {one_line(slug[:100])} in this console.")
        return site

    async def read_view(self, page: Page, visit: Visit, parameters: QueryParams) -> Any:
        """Return the view of a page as JSON values, without secrets."""
        query = read_query(page.query_type, parameters)
        read = partial(_read_plain_view, page, visit, query)
        view_key = (visit.site.slug, page.name, msgspec.json.encode(query), visit.person.role)
        return await run_in_threadpool(self._shared_views.read, view_key, page.shared_for, read)

    def forget_views(self) -> None:
        """Forget all shared views, so that a person who changed something sees it."""
        self._shared_views.forget_all()

    def html(
        self,
        request: HttpRequest,
        template: str,
        template_values: Mapping[str, Any],
        *,
        session: Session | None = None,
        status: int = 200,
    ) -> Response:
        """Return a rendered template, with the cookie of a new session."""
        notice = self.gate.notice_in(request)
        template_context = {
            "sites": [{"slug": site.slug, "title": site.title} for site in self.sites],
            "site": None,
            "person": session.person if session else None,
            "form_token": self.gate.form_token(session) if session else "",
            "may_sign_out": self.gate.may_sign_out,
            "notice": notice,
            "here": _local_address(request),
            "path": request.url.path,
            **template_values,
        }
        markup = self._page_templates.get_template(template).render(template_context)
        response = HTMLResponse(markup, status)
        self.gate.keep_session(request, response, session)
        if notice:
            self.gate.forget_notice(response)
        return response

    def page_context(self, page: Page | None, site: ConsoleSite) -> dict[str, Any]:
        """Return what the layout of a site's page needs."""
        return {
            "site": {
                "slug": site.slug,
                "title": site.title,
                "address": site.address,
                "config_problem": site.redactor(site.config_problem),
            },
            "page": page,
            "tabs": [tab for tab in self._all_pages if tab.in_navigation and tab.template],
        }

    async def answer_problem(self, request: HttpRequest, error: Exception) -> Response:
        """Answer a call that raised: as JSON, as a page, or by the way to the sign-in."""
        problem = problem_of(error)
        if isinstance(problem, NotAllowed):
            _log_refusal(request, problem)
        if request.url.path.startswith("/api/"):
            return json_answer({"error": problem.title, "detail": str(problem)}, problem.status)
        if isinstance(problem, SignInNeeded) and request.method == "GET":
            return RedirectResponse(f"/sign-in?next={quote(_local_address(request))}", 303)
        template_values = {"title": problem.title, "text": str(problem)}
        session: Session | None = getattr(request.state, "session", None)
        return self.html(
            request, "problem.html", template_values, session=session, status=problem.status
        )

    async def answer_failure(self, request: HttpRequest, error: Exception) -> Response:
        """Answer a call that failed by a mistake of the console; the log has the traceback."""
        problem = ConsoleFailure("This is a mistake in the console. Its log says where.")
        response = await self.answer_problem(request, problem)
        add_headers(response.headers, request.url.path)  # it is made outside of the guard
        return response


def page_routes(page_answers: PageAnswers, pages: Sequence[Page]) -> Iterator[Route]:
    """Yield the routes of pages: each as HTML and as JSON."""
    for page in pages:
        if page.template:
            html_path = f"/sites/{{site}}/{page.path}"
            yield Route(html_path, partial(_answer_html, page_answers, page), name=page.name)
        api_path = f"{API_ROOT}/sites/{{site}}/{page.name}"
        yield Route(api_path, partial(_answer_json, page_answers, page), name=f"api.{page.name}")


async def _answer_html(page_answers: PageAnswers, page: Page, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    visit = page_answers.visit_of(request, session.person)
    view = await page_answers.read_view(page, visit, request.query_params)
    daemon_need = await run_in_threadpool(read_daemon_need, visit.site.state_folder, visit.now)
    template_values = {
        **page_answers.page_context(page, visit.site),
        "view": view,
        "now": visit.now,
    }
    template_values["daemon_need"] = daemon_need
    return await run_in_threadpool(
        page_answers.html, request, page.template, template_values, session=session
    )


async def _answer_json(page_answers: PageAnswers, page: Page, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    visit = page_answers.visit_of(request, session.person)
    return json_answer(await page_answers.read_view(page, visit, request.query_params))


def json_answer(value: Any, status: int = 200) -> Response:
    """Return a value as an answer of the API."""
    content = escaped_json(msgspec.json.encode(value).decode())
    return Response(content, status, media_type="application/json")


def read_query(query_type: type[_S], parameters: QueryParams) -> _S:
    """Return the parameters of an address as a query.

    Raises:
        BadQuery: A parameter is unknown or has no such value.
    """
    list_names = list_names_of(query_type)
    required_names = {field.name for field in msgspec.structs.fields(query_type) if field.required}
    values_by_name = {
        parameter_name: parameters.getlist(parameter_name)
        if parameter_name in list_names
        else parameters[parameter_name]
        for parameter_name in parameters
        if parameters[parameter_name] != ""
        or parameter_name in required_names  # a form sends its empty fields, too
    }
    return convert(values_by_name, query_type)


def convert(outside_values: Any, wanted_type: type[_T], *, strict: bool = False) -> _T:
    """Return values from outside as a struct.

    Raises:
        BadQuery: They do not fit.
    """
    try:
        return msgspec.convert(outside_values, wanted_type, strict=strict)
    except (msgspec.ValidationError, OverflowError) as conversion_error:
        raise BadQuery(one_line(str(conversion_error)[:300])) from None


def list_names_of(query_type: type) -> set[str]:
    """Return the parameters that may be given several times."""
    struct_type = msgspec.inspect.type_info(query_type)
    assert isinstance(struct_type, msgspec.inspect.StructType)  # noqa: S101 - of our own types
    list_types = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)
    return {field.name for field in struct_type.fields if isinstance(field.type, list_types)}


def _read_plain_view(page: Page, visit: Visit, query: Query) -> Any:
    return visit.site.redactor.in_value(msgspec.to_builtins(page.read(visit, query)))


def _local_address(request: HttpRequest) -> str:
    """Return the path and the parameters of a call."""
    query_text = request.url.query
    return request.url.path + (f"?{query_text}" if query_text else "")


def _log_refusal(request: HttpRequest, problem: ConsoleProblem) -> None:
    peer_address = request.client.host if request.client else "?"
    logger.warning(
        "A call from %s to %s was refused: %s",
        peer_address,
        one_line(request.url.path[:200]),
        problem,
        extra={"action": "console.refused"},
    )
