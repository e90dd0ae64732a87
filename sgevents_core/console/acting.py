"""Actions: a person's request, checked, recorded in the person's name, and its answer shown."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sgevents_core.console.answering import (
    API_ROOT,
    PageAnswers,
    convert,
    json_answer,
    list_names_of,
)
from sgevents_core.console.bodies import parse_form, read_body
from sgevents_core.console.page import Action, NewRequest, View, Visit
from sgevents_core.console.problems import BadQuery, NotAllowed
from sgevents_core.printable import counted, one_line
from sgevents_core.reading.daemon_standing import read_daemon_need
from sgevents_core.state.requests import RequestAnswer

ANSWER_PATIENCE: Final = 3.0
"""Seconds to wait for the daemon's answer before a person gets a page again."""
_LOOK_INTERVAL: Final = 0.05
_MOST_SHOWN: Final = 3
"""The most answers that are shown one by one."""
logger: Final = logging.getLogger("sgevents.console")


class ActionAnswer(View, frozen=True, kw_only=True):
    """What came of an action so far."""

    requests: list[int]
    """The numbers of the recorded requests."""
    outcome: Literal["done", "refused", "failed", "waiting"]
    text: str


def action_routes(page_answers: PageAnswers, actions: Sequence[Action]) -> Iterator[Route]:
    """Yield the routes of actions: each for forms of pages and for JSON."""
    for action in actions:
        form_path = f"/sites/{{site}}/{action.path}"
        yield Route(form_path, partial(_answer_form, page_answers, action), methods=["POST"])
        api_path = f"{API_ROOT}/sites/{{site}}/{action.path}"
        yield Route(api_path, partial(_answer_api, page_answers, action), methods=["POST"])


async def _answer_form(page_answers: PageAnswers, action: Action, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    form_fields = parse_form(await read_body(request))
    page_answers.gate.check_post(request, session, form_fields.pop("form_token", ""))
    next_address = local_address(
        form_fields.pop("next", ""), f"/sites/{request.path_params['site']}/"
    )
    visit = _operator_visit(page_answers, request)
    for name in list_names_of(action.form_type) & form_fields.keys():
        form_fields[name] = (
            form_fields[name] if isinstance(form_fields[name], list) else [form_fields[name]]
        )
    answer = await _carry_out_action(page_answers, action, visit, form_fields)
    response = RedirectResponse(next_address, 303)
    page_answers.gate.leave_notice(request, response, answer.outcome, answer.text)
    return response


async def _answer_api(page_answers: PageAnswers, action: Action, request: HttpRequest) -> Response:
    session = page_answers.gate.enter(request)
    page_answers.gate.check_post(request, session, request.headers.get("x-form-token", ""))
    visit = _operator_visit(page_answers, request)
    answer = await _carry_out_action(
        page_answers, action, visit, _json_fields(await read_body(request))
    )
    return json_answer(answer, 202 if answer.outcome == "waiting" else 200)


def _operator_visit(page_answers: PageAnswers, request: HttpRequest) -> Visit:
    person = page_answers.gate.enter(request).person
    visit = page_answers.visit_of(request, person)
    if not person.is_operator:
        raise NotAllowed(f"{person.name} is a viewer; operators may change something.")
    return visit


async def _carry_out_action(
    page_answers: PageAnswers, action: Action, visit: Visit, form_fields: Any
) -> ActionAnswer:
    """Record the requests of an action, and return what has come of them after a moment."""
    form = convert(form_fields, action.form_type)
    request_numbers = await run_in_threadpool(_record_requests, action, visit, form)
    if not request_numbers and action.without_requests:
        return ActionAnswer(requests=[], outcome="done", text=action.without_requests)
    try:
        return await _wait_for_answer(visit, request_numbers)
    finally:
        page_answers.forget_views()


async def _wait_for_answer(visit: Visit, request_numbers: Sequence[int]) -> ActionAnswer:
    deadline = time.monotonic() + ANSWER_PATIENCE
    while True:
        answer = await run_in_threadpool(_answer_so_far, visit, request_numbers)
        if answer.outcome != "waiting" or time.monotonic() > deadline:
            return answer
        if read_daemon_need(visit.site.state_folder, time.time()) is not None:
            return answer
        await asyncio.sleep(_LOOK_INTERVAL)


def _record_requests(action: Action, visit: Visit, form: Any) -> list[int]:
    """Record the requests of an action, all or none, and return their numbers."""
    new_requests = action.plan(visit, form)
    if not new_requests and action.without_requests:
        logger.info(
            "%s asked for %s",
            one_line(visit.person.name),
            action.name,
            extra={"action": "console.requested"},
        )
        return []
    reason_detail = {"reason": form.reason} if form.reason else {}
    with visit.site.open_requests() as requests:
        request_numbers = requests.ask_all(
            [
                (request.kind, request.plugin, {**request.detail, **reason_detail}, request.events)
                for request in new_requests
            ],
            visit.person.name,
        )
    _log_requests(visit, new_requests)
    return request_numbers


def _log_requests(visit: Visit, new_requests: Sequence[NewRequest]) -> None:
    request_kinds = sorted({request.kind for request in new_requests})
    logger.info(
        "%s asked for %s: %s",
        one_line(visit.person.name),
        counted(len(new_requests), "request"),
        ", ".join(request_kinds),
        extra={"action": "console.requested"},
    )


def _answer_so_far(visit: Visit, request_numbers: Sequence[int]) -> ActionAnswer:
    """Return the answers to requests, as far as they are there."""
    if not request_numbers:
        return ActionAnswer(requests=[], outcome="done", text="There was nothing to do.")
    with visit.site.open_requests() as requests:
        waiting_numbers = requests.unanswered(request_numbers)
        looked_at = () if waiting_numbers else map(requests.answer_of, request_numbers)
        request_answers = [answer for answer in looked_at if answer is not None]
    if waiting_numbers:
        return ActionAnswer(
            requests=list(request_numbers),
            outcome="waiting",
            text=_waiting_text(visit, waiting_numbers),
        )
    worst_answer = max(
        request_answers, key=lambda answer: ("done", "refused", "failed").index(answer.outcome)
    )
    answers_text = _answers_text(request_answers, worst_answer)
    return ActionAnswer(
        requests=list(request_numbers), outcome=worst_answer.outcome, text=answers_text
    )


def _answers_text(request_answers: Sequence[RequestAnswer], worst_answer: RequestAnswer) -> str:
    """Return a few answers one by one, and of many their number and one of the worst."""
    answer_texts = list(dict.fromkeys(answer.text for answer in request_answers))
    if len(answer_texts) <= _MOST_SHOWN:
        return "; ".join(answer_texts)
    outcome_counts = Counter(answer.outcome for answer in request_answers)
    counted_outcomes = ", ".join(
        f"{answer_count} {outcome}" for outcome, answer_count in outcome_counts.most_common()
    )
    requests_text = counted(len(request_answers), "request")
    return f"{requests_text}: {counted_outcomes}; one of them: {worst_answer.text}"


def _waiting_text(visit: Visit, waiting_numbers: Sequence[int]) -> str:
    requests_text = (
        f"Request {waiting_numbers[0]} is recorded"
        if len(waiting_numbers) == 1
        else f"{len(waiting_numbers):,} requests are recorded"
    )
    daemon_need = read_daemon_need(visit.site.state_folder, time.time())
    if daemon_need is None:
        return f"{requests_text}. The daemon has not answered yet; Requests shows when it has."
    return f"{requests_text}, and waits. {daemon_need.text}: {daemon_need.fix}."


def _json_fields(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadQuery("The body is not JSON, or too deeply nested.") from None


def local_address(address: Any, default: str) -> str:
    """Return an address within this console, or the default for any other."""
    if not isinstance(address, str) or not address.isprintable() or "\\" in address:
        return default
    return address if address.startswith("/") and not address.startswith("//") else default
