"""Why a call was not answered as asked: each kind with its status and its words for people."""

from __future__ import annotations

from typing import ClassVar, Final

from starlette.exceptions import HTTPException

from sgevents_core.errors import SgEventsError, StateError


class ConsoleProblem(Exception):
    """A call that cannot be answered as asked; the text says why, for people."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "That does not work"


class BadQuery(ConsoleProblem):
    """The parameters or the form cannot be read."""

    title = "These parameters cannot be read"


class PageMissing(ConsoleProblem):
    """There is no such record; the text says which."""

    status = 404
    title = "There is nothing here"


class SignInNeeded(ConsoleProblem):
    """Nobody has signed in."""

    status = 401
    title = "Sign in first"


class NotAllowed(ConsoleProblem):
    """The person may not do that, or the call did not come from a page of this console."""

    status = 403
    title = "You may not do that"


class FormTooLarge(ConsoleProblem):
    """The form has more bytes than any form of a page."""

    status = 413
    title = "The form is too large"


class FormTooSlow(ConsoleProblem):
    """The form did not arrive in time."""

    status = 408
    title = "The form did not arrive"


class TooManyRuns(ConsoleProblem):
    """As many processes as allowed are working for this console already."""

    status = 429
    title = "Too many at once"


class TooManyTries(ConsoleProblem):
    """Too many attempts to sign in have failed."""

    status = 429
    title = "Too many attempts"


class StateUnreadable(ConsoleProblem):
    """The site's state cannot be read at the moment."""

    status = 503
    title = "The state cannot be read"


class ConsoleFailure(ConsoleProblem):
    """The console itself has failed."""

    status = 500
    title = "The console has failed"


_HTTP_TEXTS: Final = {
    404: "There is no such page.",
    405: "That address does not take this method.",
}
PROBLEM_ANSWERS: Final[tuple[type[Exception], ...]] = (
    ConsoleProblem,
    HTTPException,
    SgEventsError,
)
"""The exceptions that become an answer."""


def problem_of(error: Exception) -> ConsoleProblem:
    """Return an exception as a problem of the console."""
    if isinstance(error, ConsoleProblem):
        return error
    if isinstance(error, StateError):
        return StateUnreadable(str(error))
    if isinstance(error, HTTPException):
        return _http_problem(error)
    return ConsoleProblem(str(error))


def _http_problem(error: HTTPException) -> ConsoleProblem:
    text = _HTTP_TEXTS.get(error.status_code, error.detail)
    if error.status_code == PageMissing.status:
        return PageMissing(text)
    problem = ConsoleProblem(text)
    problem.status = error.status_code  # type: ignore[misc]  # of this one alone
    return problem
