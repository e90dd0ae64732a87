"""The API's description for programs, made from the same types that its answers are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from sgevents_core import __version__
from sgevents_core.console.acting import ActionAnswer
from sgevents_core.console.answering import API_ROOT, PageAnswers, json_answer
from sgevents_core.console.gate import cookie_name
from sgevents_core.console.overview_of_sites import SITES_SUMMARY, SitesView
from sgevents_core.console.page import Action, Page, Query

_SCHEMA_PREFIX: Final = "#/components/schemas/{name}"
_SITE_PARAMETER: Final = {"$ref": "#/components/parameters/site"}
_PROBLEM: Final = {
    "type": "object",
    "required": ["error", "detail"],
    "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
}
_PROBLEM_STATUSES: Final = {
    "400": "The parameters or the body do not fit.",
    "401": "Nobody has signed in.",
    "403": "The person may not do that, or the call came from elsewhere.",
    "404": "There is no such site or record.",
    "503": "The site's state cannot be read at the moment.",
}


def describe_api(
    answers: PageAnswers, pages: Sequence[Page], actions: Sequence[Action]
) -> Callable[[HttpRequest], Awaitable[Response]]:
    """Return the endpoint of the API's description."""

    async def answer(request: HttpRequest) -> Response:
        answers.gate.enter(request)
        slugs = [site.slug for site in answers.sites]
        return json_answer(api_document(pages, actions, slugs, cookie_name(request)))

    return answer


def api_document(
    pages: Sequence[Page], actions: Sequence[Action], slugs: Sequence[str], session_cookie: str
) -> dict[str, Any]:
    """Return the description as OpenAPI 3.1.

    Args:
        pages: The pages.
        actions: The actions.
        slugs: The sites' names in addresses.
        session_cookie: The name of the session's cookie.
    """
    types: list[Any] = [SitesView, ActionAnswer, *(page.view_type for page in pages)]
    types += [action.form_type for action in actions]
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMA_PREFIX)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {
        f"{API_ROOT}/sites": {"get": _operation("sites", SITES_SUMMARY, schema_of[SitesView], [])}
    }
    for page in pages:
        operation = _operation(
            page.name, page.summary, schema_of[page.view_type], _parameters(page.query_type)
        )
        paths[f"{API_ROOT}/sites/{{site}}/{page.name}"] = {"get": operation}
    for action in actions:
        operation = _operation(action.name, action.summary, schema_of[ActionAnswer], [])
        operation["responses"]["202"] = {
            **operation["responses"]["200"],
            "description": "It is recorded; the daemon has not answered yet.",
        }
        operation["responses"]["413"] = _problem_response("The body is too large.")
        operation["parameters"] = [{"$ref": "#/components/parameters/form_token"}]
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[action.form_type]}},
        }
        paths[f"{API_ROOT}/sites/{{site}}/{action.path}"] = {"post": operation}
    for path, operations in paths.items():
        if "{site}" in path:
            operations["parameters"] = [_SITE_PARAMETER]
    return {
        "openapi": "3.1.0",
        "info": {"title": "sgevents console", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "parameters": {
                "site": _path_parameter(slugs),
                "form_token": _FORM_TOKEN_PARAMETER,
            },
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": session_cookie},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"session": []}, {"token": []}],
    }


_FORM_TOKEN_PARAMETER: Final = {
    "name": "X-Form-Token",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The form token of the session; calls with a bearer token need none.",
}


def _path_parameter(slugs: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "site",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(slugs)},
    }


def _operation(
    name: str, summary: str, schema: dict[str, Any], parameters: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "The view.",
            "content": {"application/json": {"schema": schema}},
        }
    }
    responses |= {status: _problem_response(text) for status, text in _PROBLEM_STATUSES.items()}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": responses,
    }


def _problem_response(description: str) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _parameters(query_type: type[Query]) -> list[dict[str, Any]]:
    """Return the parameters of a page; a list is given by repeating one."""
    schema = msgspec.json.schema(query_type)
    (definition,) = (
        definition for name, definition in schema["$defs"].items() if name == query_type.__name__
    )
    return [
        {
            "name": name,
            "in": "query",
            "required": name in definition.get("required", ()),
            "schema": _inlined(property_schema, schema["$defs"]),
        }
        for name, property_schema in definition["properties"].items()
    ]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema without references."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(value, definitions) for value in schema]
    return schema
