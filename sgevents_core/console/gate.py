"""The gate: the session of a call, its cookie, and whether a post came from a page of ours."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from anyio import CapacityLimiter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from sgevents_core.console.attempts import Attempts
from sgevents_core.console.page import Person
from sgevents_core.console.problems import NotAllowed, SignInNeeded
from sgevents_core.console.sessions import IDLE_LIFETIME, SessionRecord, Sessions
from sgevents_core.console.ways_in import WayIn, bearer_token

if TYPE_CHECKING:
    from sgevents_core.console.answering import PageAnswers

_SESSION_COOKIE: Final = "sgevents_session"
_NOTICE_COOKIE: Final = "sgevents_notice"
_LONGEST_NOTICE: Final = 500
_MOST_PROOFS_AT_ONCE: Final = 2
"""Each takes 64 MB and a core for a moment, and anybody who can connect can send many."""


@dataclass(frozen=True, slots=True)
class Session:
    """The session of a call.

    Args:
        person: The person.
        record: What its cookie says.
        is_new: Whether the browser does not have the cookie yet.
    """

    person: Person
    record: SessionRecord
    is_new: bool = False


class Gate:
    """Decides who may come in, and which posts come from pages of the console.

    Args:
        way_in: How people prove who they are.
        sessions: The sessions.
    """

    def __init__(self, way_in: WayIn, sessions: Sessions) -> None:
        self.way_in = way_in
        self.sessions = sessions
        self.attempts = Attempts()
        self.proof_limiter = CapacityLimiter(_MOST_PROOFS_AT_ONCE)

    @property
    def may_sign_out(self) -> bool:
        """Whether there is a sign-in, and so a sign-out."""
        return self.way_in.sign_in_form != "none"

    def routes(self, answers: PageAnswers) -> Iterator[Route]:
        """Yield the routes of the sign-in and the sign-out."""
        from sgevents_core.console.sign_in import sign_in_routes  # noqa: PLC0415 - needs answers

        return sign_in_routes(answers)

    def enter(self, request: HttpRequest) -> Session:
        """Return the session of a call, begun now if the call itself proves who makes it.

        Raises:
            SignInNeeded: It does not, and has no session.
        """
        session: Session | None = getattr(request.state, "session", None)
        if session is None:
            session = self._session_of(request)
            request.state.session = session
        return session

    def _session_of(self, request: HttpRequest) -> Session:
        record = self.sessions.read_cookie(request.cookies.get(cookie_name(request), ""))
        proved_name = self.way_in.name_of(request)
        has_sign_in = self.way_in.sign_in_form != "none"
        if (
            record is not None
            and self._is_valid(record)
            and (proved_name == record.name or (has_sign_in and proved_name is None))
        ):
            return self._session(record, is_new=False)
        if proved_name is None:
            raise SignInNeeded("You are not signed in, or your session is over.")
        return self._session(
            self.sessions.begin(proved_name, self.way_in.proof_mark(proved_name)), is_new=True
        )

    def _is_valid(self, record: SessionRecord) -> bool:
        proof_mark = self.way_in.proof_mark(record.name)
        return hmac.compare_digest(record.proof_mark, proof_mark)

    def _session(self, record: SessionRecord, *, is_new: bool) -> Session:
        role = self.way_in.role_of(record.name)
        if role is None:
            raise SignInNeeded("You may not come in any more.")
        return Session(Person(record.name, role), record, is_new)

    def begin_session(self, person_name: str) -> Session:
        """Return a new session of a person who has just given a proof."""
        return self._session(
            self.sessions.begin(person_name, self.way_in.proof_mark(person_name)), is_new=True
        )

    def form_token(self, session: Session) -> str:
        """Return the token for the forms of a session's pages."""
        return self.sessions.form_token(session.record)

    def check_post(self, request: HttpRequest, session: Session, form_token: Any) -> None:
        """Check that a post comes from a page of this console.

        Raises:
            NotAllowed: It does not, or nothing shows that it does.
        """
        check_origin(request)
        if bearer_token(request) is not None and cookie_name(request) not in request.cookies:
            return  # no browser adds that by itself, as it does with the password for a proxy
        expected_token = self.form_token(session)
        if not hmac.compare_digest(str(form_token).encode(), expected_token.encode()):
            raise NotAllowed("The form is from another session: open its page again.")

    def keep_session(
        self, request: HttpRequest, response: Response, session: Session | None
    ) -> None:
        """Give the browser the cookie of a new session, or a fresh one of an old session."""
        if session is not None and (session.is_new or session.record.is_due):
            cookie = self.sessions.cookie_of(session.record)
            _set_cookie(request, response, cookie, IDLE_LIFETIME)

    def leave_notice(self, request: HttpRequest, response: Response, kind: str, text: str) -> None:
        """Leave a sentence for the next page."""
        notice = {"kind": kind, "text": text[:_LONGEST_NOTICE]}
        response.set_cookie(
            _NOTICE_COOKIE,
            self.sessions.sign_notice(notice),
            max_age=60,
            httponly=True,
            samesite="strict",
            secure=is_encrypted(request),
        )

    def notice_in(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return the sentence that the last call left; None if there is none."""
        return self.sessions.read_notice(request.cookies.get(_NOTICE_COOKIE, ""))

    def forget_notice(self, response: Response) -> None:
        """Remove the sentence that is being shown."""
        response.delete_cookie(_NOTICE_COOKIE)


def check_origin(request: HttpRequest) -> None:
    """Check that a browser did not send a post from a page of another site.

    Raises:
        NotAllowed: It did.
    """
    fetch_site = request.headers.get("sec-fetch-site", "same-origin")
    host = request.headers.get("host")
    is_foreign = any(_netloc(origin) != host for origin in request.headers.getlist("origin"))
    if is_foreign or fetch_site not in {"same-origin", "none"}:
        raise NotAllowed("The call came from a page of another site.")


def _netloc(origin_text: str) -> str | None:
    """Return the host and port of an origin; None if it is not one."""
    try:
        return urlsplit(origin_text).netloc
    except ValueError:
        return None


def cookie_name(request: HttpRequest) -> str:
    """Return the name of the session's cookie; it has the port, which browsers do not look at.

    So several consoles on one host do not end each other's sessions.
    """
    host_port = urlsplit(f"//{request.headers.get('host', '')}").port
    return _SESSION_COOKIE if host_port is None else f"{_SESSION_COOKIE}_{host_port}"


def is_encrypted(request: HttpRequest) -> bool:
    """Return whether the browser has called over HTTPS, here or at a proxy in front.

    The proxy's word decides no more than whether browsers send the cookie over HTTPS alone: a
    caller that invents it keeps out nobody else.
    """
    proxy_scheme = request.headers.get("x-forwarded-proto", "").partition(",")[0]
    return "https" in {request.url.scheme, proxy_scheme.strip().lower()}


def _set_cookie(request: HttpRequest, response: Response, value: str, max_age: int) -> None:
    response.set_cookie(
        cookie_name(request),
        value,
        max_age=max_age,
        httponly=True,
        samesite="lax",  # a link in a chat leads to the page; posts are checked otherwise
        secure=is_encrypted(request),
    )
