"""Signing in and out: the token of the start in a link or a form, or a name and a password."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sgevents_core.console.acting import local_address
from sgevents_core.console.bodies import parse_form, read_body
from sgevents_core.console.gate import check_origin, cookie_name
from sgevents_core.console.problems import NotAllowed, TooManyTries
from sgevents_core.printable import one_line

if TYPE_CHECKING:
    from sgevents_core.console.answering import PageAnswers

logger: Final = logging.getLogger("sgevents.console")
_WRONG_TEXTS: Final = {
    "token": "That is not the token that was shown when the console started.",
    "password": "The name or the password is wrong.",
}


def sign_in_routes(page_answers: PageAnswers) -> Iterator[Route]:
    """Yield the routes of the sign-in and the sign-out."""
    yield Route("/enter", partial(_enter_by_link, page_answers))
    yield Route("/sign-in", partial(_show_form, page_answers))
    yield Route("/sign-in", partial(_sign_in, page_answers), methods=["POST"])
    yield Route("/sign-out", partial(_sign_out, page_answers), methods=["POST"])


async def _enter_by_link(page_answers: PageAnswers, request: HttpRequest) -> Response:
    """Take the token out of the address, so that it stays in no history but the first entry."""
    if page_answers.gate.way_in.sign_in_form != "token":
        return RedirectResponse("/", 303)
    proof = request.query_params.get("token", "")
    return await _try_proof(page_answers, request, name="", proof=proof, next_address="/")


async def _show_form(page_answers: PageAnswers, request: HttpRequest) -> Response:
    return _sign_in_page(page_answers, request, next_address=request.query_params.get("next", "/"))


async def _sign_in(page_answers: PageAnswers, request: HttpRequest) -> Response:
    check_origin(request)
    form_fields = parse_form(await read_body(request))
    return await _try_proof(
        page_answers,
        request,
        name=str(form_fields.get("name", ""))[:200],
        proof=str(form_fields.get("proof", "")),
        next_address=str(form_fields.get("next", "/")),
    )


async def _try_proof(
    page_answers: PageAnswers, request: HttpRequest, *, name: str, proof: str, next_address: str
) -> Response:
    gate = page_answers.gate
    peer_address = request.client.host if request.client else "?"
    wait_seconds = gate.attempts.wait_of(peer_address, name, time.monotonic())
    if wait_seconds > 0:
        _log_failure(peer_address, name, "too many attempts have failed")
        problem = TooManyTries(f"Wait {wait_seconds:.0f} s, then try again.")
        return _sign_in_page(page_answers, request, next_address=next_address, problem=problem)
    gate.attempts.add_failure(peer_address, name, time.monotonic())  # until it turns out to be none
    check_proof = partial(gate.way_in.check, name, proof)
    proved_name = await to_thread.run_sync(check_proof, limiter=gate.proof_limiter)
    if proved_name is None:
        _log_failure(peer_address, name, "the proof is wrong")
        problem_text = _WRONG_TEXTS.get(gate.way_in.sign_in_form, "There is no sign-in here.")
        return _sign_in_page(
            page_answers, request, next_address=next_address, problem=NotAllowed(problem_text)
        )
    gate.attempts.forget(peer_address, name)
    response = RedirectResponse(local_address(next_address, "/"), 303)
    gate.keep_session(request, response, gate.begin_session(proved_name))
    logger.info(
        "%s signed in from %s",
        one_line(proved_name),
        peer_address,
        extra={"action": "console.signed_in"},
    )
    return response


def _sign_in_page(
    page_answers: PageAnswers,
    request: HttpRequest,
    *,
    next_address: str,
    problem: NotAllowed | TooManyTries | None = None,
) -> Response:
    template_values: dict[str, Any] = {
        "form": page_answers.gate.way_in.sign_in_form,
        "next": local_address(next_address, "/"),
        "problem": str(problem or ""),
    }
    http_status = problem.status if problem else 200
    return page_answers.html(request, "sign_in.html", template_values, status=http_status)


async def _sign_out(page_answers: PageAnswers, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    form_fields = parse_form(await read_body(request))
    page_answers.gate.check_post(request, session, form_fields.get("form_token", ""))
    page_answers.gate.sessions.end(session.record)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(request))
    return response


def _log_failure(peer_address: str, name: str, refusal_reason: str) -> None:
    person_text = f" as {one_line(name)}" if name else ""
    logger.warning(
        "A sign-in%s from %s was refused: %s",
        person_text,
        peer_address,
        refusal_reason,
        extra={"action": "console.sign_in_refused"},
    )
