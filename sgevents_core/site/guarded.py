"""The client of every connection to a site: the stock one, except that it takes for an answer only
what is one.

The stock client returns what it cannot read as if it were the result, and a write is lost in
silence. Here it raises, with an error that is also one of shotgun_api3's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from xmlrpc.client import ProtocolError

from sgevents_core.errors import SiteAnswerError
from sgevents_core.site.answers import NotAnAnswerError, answer_in, excerpt
from sgevents_core.site.stock import Shotgun, ShotgunError

SHORTEST: Final = 4
"""Shorter keys are words of every sentence, and left in it."""


class NoAnswer(SiteAnswerError, ShotgunError):
    """The site {url} gave an answer that is none: {reason}. Is this address a site's?"""


class Question(NamedTuple):
    """The call that is being made: the method and what it is called with."""

    method: str = ""
    params: Any = None


class GuardedShotgun(Shotgun):
    """Does what the stock client does, and raises `NoAnswer` where the site gave none."""

    _question = Question()

    def _call_rpc(self, method: str, params: Any, *args: Any, **kwargs: Any) -> Any:
        with self._asking(Question(method, params)):
            try:
                return super()._call_rpc(method, params, *args, **kwargs)
            except ProtocolError as error:
                self._shorten(error)
                raise

    @contextmanager
    def _asking(self, question: Question) -> Iterator[None]:
        """Know what is asked until the block ends: to sign a call may take a call of its own."""
        before, self._question = self._question, question
        try:
            yield
        finally:
            self._question = before

    def _decode_response(self, headers: dict[str, Any], body: Any) -> Any:
        question = self._question
        try:
            return answer_in(body, question.method, question.params, self._json_loads)
        except NotAnAnswerError as error:
            reason = self._without_key(f"{error} (method {question.method})")
            raise NoAnswer(url=self.base_url, reason=reason) from None

    def _shorten(self, error: ProtocolError) -> None:
        """Leave of a page of HTML, which the stock client adds to a refusal, what can be read."""
        error.errmsg = self._without_key(excerpt(error.errmsg.encode(errors="replace")))

    def _json_loads(self, body: str | bytes) -> Any:
        return json.loads(body)

    def _without_key(self, text: str) -> str:
        for secret in (self.config.api_key, self.config.session_token, self.config.proxy_pass):
            if secret and len(secret) >= SHORTEST:
                text = text.replace(secret, "***")
        return text
