"""Sessions: who a browser belongs to, in a signed cookie; and the tokens of its forms."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from itsdangerous import BadData, URLSafeTimedSerializer

from sgevents_core.console.ended_sessions import EndedSessions

IDLE_LIFETIME: Final = 24 * 3600
"""Seconds after its last use at which a session is over."""
LONGEST_LIFETIME: Final = 30 * 86400
"""Seconds after the sign-in at which a session is over in any case."""
_RENEWED_AFTER: Final = 600
"""Seconds after which a session in use gets a new cookie."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What a cookie says.

    Args:
        session_id: The session.
        name: The person's name.
        proof_mark: What changes with the proof that the person gave, such as a password.
        since: The time of the sign-in, in seconds since 1970.
        is_due: Whether the cookie should be replaced by a new one of the same session.
    """

    session_id: str
    name: str
    proof_mark: str
    since: int
    is_due: bool = True


class Sessions:
    """The sessions of one console.

    Args:
        key: Signs the cookies; whoever has it can be anybody.
        ended_file: Where ended sessions are remembered; None for in this process alone.
    """

    def __init__(self, key: bytes, ended_file: Path | None = None) -> None:
        self._signing_key = key
        self._cookie_serializer = URLSafeTimedSerializer(key, salt="sgevents console session")
        self._ended_sessions = EndedSessions(ended_file, IDLE_LIFETIME)

    def begin(self, person_name: str, proof_mark: str) -> SessionRecord:
        """Return a new session, with an id of its own."""
        return SessionRecord(secrets.token_urlsafe(18), person_name, proof_mark, int(time.time()))

    def cookie_of(self, record: SessionRecord) -> str:
        """Return the text of a session's cookie."""
        cookie_values = [record.session_id, record.name, record.proof_mark, record.since]
        return str(self._cookie_serializer.dumps(cookie_values))

    def read_cookie(self, cookie: str) -> SessionRecord | None:
        """Return what a cookie says; None if it is forged, too old, or its session has ended."""
        try:
            cookie_values, signed_at = self._cookie_serializer.loads(
                cookie, max_age=IDLE_LIFETIME, return_timestamp=True
            )
        except BadData:
            return None
        session_id, person_name, proof_mark, signed_in_at = cookie_values
        if self._ended_sessions.has(session_id) or time.time() - signed_in_at > LONGEST_LIFETIME:
            return None
        cookie_age = time.time() - signed_at.timestamp()
        return SessionRecord(
            session_id, person_name, proof_mark, signed_in_at, is_due=cookie_age > _RENEWED_AFTER
        )

    def end(self, record: SessionRecord) -> None:
        """End a session: its cookies are worth nothing from now on."""
        self._ended_sessions.add(record.session_id, time.time())

    def form_token(self, record: SessionRecord) -> str:
        """Return the token that the forms of a session carry; other sites cannot know it."""
        return hmac.new(
            self._signing_key, f"form {record.session_id}".encode(), "sha256"
        ).hexdigest()

    def sign_notice(self, notice: dict[str, Any]) -> str:
        """Return a notice for the next page as the text of a cookie."""
        return str(self._notice_serializer.dumps(notice))

    def read_notice(self, cookie: str) -> dict[str, Any] | None:
        """Return the notice in a cookie; None if it is forged or too old."""
        try:
            notice: dict[str, Any] = self._notice_serializer.loads(cookie, max_age=60)
        except BadData:
            return None
        return notice

    @property
    def _notice_serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._signing_key, salt="sgevents console notice")
