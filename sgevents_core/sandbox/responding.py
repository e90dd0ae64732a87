"""From the bytes of a request to those of its answer, faults included."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.sandbox.callers import Callers
from sgevents_core.sandbox.counts import Counts
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.methods import Methods
from sgevents_core.sandbox.refusal import AUTHENTICATION, RefusedCallError
from sgevents_core.sandbox.server import HTML, Response

_LOG: Final = logging.getLogger("sgevents.sandbox")
_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><h1>The site is being worked on</h1></body></html>"
)
_TYPED: Final = ("read", "summarize", "create", "update", "delete", "revive", "schema_field_read")


class Answers:
    """The answers to the calls that arrive at `/api3/json`.

    Args:
        methods: Carries out a call.
        callers: Who may call.
        counts: Counts the calls.
        faults: The faults in force.
        effects: Kind of fault -> what it does to the site before the call is carried out.
        closing: Set when the site closes, to end waits.
    """

    def __init__(
        self,
        methods: Methods,
        callers: Callers,
        counts: Counts,
        faults: Faults,
        *,
        effects: Mapping[str, Callable[[Fault], None]],
        closing: threading.Event,
    ) -> None:
        self._methods = methods
        self._callers = callers
        self._counts = counts
        self._faults = faults
        self._effects = effects
        self._closing = closing

    def answer(self, body: bytes) -> Response:
        """Return the answer to a call, or what a fault makes of it."""
        try:
            call = msgspec.json.decode(body)
            method, params = str(call["method_name"]), list(call.get("params") or [])
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
            return _json(RefusedCallError("This is no call of the API.").answer())
        auth = params[0] if params and isinstance(params[0], dict) else {}
        asked = params[1] if len(params) > 1 else {}
        entity_type = str(asked.get("type", "")) if _typed(method, asked) else ""
        self._counts.call(method, entity_type)
        script = auth.get("script_name")
        faults = self._faults.striking(method=method, entity_type=entity_type, script=script)
        for fault in faults:
            if fault.kind == "latency":
                self._closing.wait(float(fault.options["seconds"]))
            elif fault.kind in self._effects:
                self._effects[fault.kind](fault)
        return self._struck(faults, method, auth, asked)

    def _struck(
        self, faults: list[Fault], method: str, auth: dict[str, Any], asked: Any
    ) -> Response:
        instead = next((fault for fault in faults if fault.kind in _INSTEAD), None)
        if instead is not None:
            return _INSTEAD[instead.kind](instead, str(auth.get("script_name")))
        replica = next((fault for fault in faults if fault.kind == "lagging-replica"), None)
        answer = _json(self._carried_out(method, auth, asked, replica))
        cut = next((fault.kind for fault in faults if fault.kind.startswith("cut-")), None)
        half = len(answer.body) // 2
        if cut == "cut-json":
            return Response(answer.body[:half])
        return Response(answer.body, sent=half) if cut else answer

    def _carried_out(
        self, method: str, auth: dict[str, Any], asked: Any, replica: Fault | None
    ) -> Any:
        try:
            if method == "info":
                return self._methods.info()
            caller = self._callers.authenticated(auth)
            return self._methods.call(method, caller, asked, replica)
        except RefusedCallError as refused:
            return refused.answer()
        except Exception as error:  # a broken call must not end the connection's thread
            _LOG.exception("the sandbox failed on a call of %s", method)
            return RefusedCallError(f"API {method}() internal error: {error!r}", 104).answer()


def _typed(method: str, asked: Any) -> bool:
    return method in _TYPED and isinstance(asked, dict)


def _json(value: Any) -> Response:
    try:
        return Response(msgspec.json.encode(value))
    except UnicodeEncodeError:  # a lone surrogate, which real sites send escaped
        return Response(json.dumps(msgspec.to_builtins(value)).encode())


def _refused(script: str) -> Response:
    return _json(RefusedCallError(f"Can't authenticate script '{script}'", AUTHENTICATION).answer())


def _api_error(fault: Fault) -> Response:
    message, code = str(fault.options["message"]), int(fault.options["code"])
    return _json(RefusedCallError(message, code).answer())


_INSTEAD: Final[dict[str, Callable[[Fault, str], Response]]] = {
    "status": lambda fault, _: Response(_PAGE, int(fault.options["status"]), HTML),
    "html": lambda _fault, _: Response(_PAGE, kind=HTML),
    "garbage": lambda _fault, _: Response(b'{"results": {"entities": [{"id": 1,, }]\x00'),
    "outage": lambda _fault, _: Response(instead="drop"),
    "drop": lambda _fault, _: Response(instead="drop"),
    "reset": lambda _fault, _: Response(instead="reset"),
    "silent": lambda _fault, _: Response(instead="silent"),
    "refused-key": lambda _fault, script: _refused(script),
    "api-error": lambda fault, _: _api_error(fault),
}
"""Kind of fault -> the answer given instead of carrying out the call."""
