"""Turning the bytes of a request into those of its answer, faults included."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sgevents_core.sandbox.api_methods import ApiCall, ApiMethods
from sgevents_core.sandbox.call_counts import CallCounts
from sgevents_core.sandbox.callers import KnownCallers
from sgevents_core.sandbox.faults import Fault, Faults
from sgevents_core.sandbox.http_server import HTML_CONTENT, Response
from sgevents_core.sandbox.refused_calls import RefusedCallError, refused_call, unknown_script

_LOGGER: Final = logging.getLogger("sgevents.sandbox")
_MAINTENANCE_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><h1>The site is being worked on</h1></body></html>"
)
_METHODS_WITH_TYPE: Final = (
    "read",
    "summarize",
    "create",
    "update",
    "delete",
    "revive",
    "schema_field_read",
)


class CallAnswers:
    """The answers to the calls that arrive at `/api3/json`.

    Args:
        methods: Carries out a call.
        callers: Who may call.
        counts: Counts the calls.
        faults: The faults in force.
        effects: Kind of fault -> its effect on the site before the call is carried out.
        closing: Set when the site closes, to end waits.
    """

    def __init__(
        self,
        methods: ApiMethods,
        callers: KnownCallers,
        counts: CallCounts,
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

    def answer_call(self, body: bytes) -> Response:
        """Return the answer to a call, or the answer that a fault substitutes."""
        try:
            call = msgspec.json.decode(body)
            method, params = str(call["method_name"]), list(call.get("params") or [])
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
            return _json_response(RefusedCallError("This is not a call of the API.").as_answer())
        credentials = params[0] if params and isinstance(params[0], dict) else {}
        parameters = params[1] if len(params) > 1 else {}
        has_type = method in _METHODS_WITH_TYPE and isinstance(parameters, dict)
        entity_type = str(parameters.get("type", "")) if has_type else ""
        self._counts.count_call(method, entity_type)
        script_name = credentials.get("script_name")
        faults = self._faults.strike_call(
            method=method, entity_type=entity_type, script=script_name
        )
        for fault in faults:
            if fault.kind == "latency":
                self._closing.wait(float(fault.options["seconds"]))
            elif fault.kind in self._effects:
                self._effects[fault.kind](fault)
        return self._answer_with_faults(faults, method, credentials, parameters)

    def _answer_with_faults(
        self, faults: list[Fault], method: str, credentials: dict[str, Any], parameters: Any
    ) -> Response:
        replacing = next((fault for fault in faults if fault.kind in _REPLACEMENT_ANSWERS), None)
        if replacing is not None:
            script_name = str(credentials.get("script_name"))
            return _REPLACEMENT_ANSWERS[replacing.kind](replacing, script_name)
        replica = next((fault for fault in faults if fault.kind == "lagging-replica"), None)
        answer = _json_response(self._carry_out_call(method, credentials, parameters, replica))
        cut_kind = next((fault.kind for fault in faults if fault.kind.startswith("cut-")), None)
        half = len(answer.body) // 2
        if cut_kind == "cut-json":
            return Response(answer.body[:half])
        return Response(answer.body, sent_bytes=half) if cut_kind else answer

    def _carry_out_call(
        self, method: str, credentials: dict[str, Any], parameters: Any, replica: Fault | None
    ) -> Any:
        try:
            if method == "info":
                return self._methods.info()
            caller = self._callers.authenticate(credentials)
            return self._methods.carry_out(ApiCall(method, caller, parameters, replica))
        except RefusedCallError as refusal:
            return refusal.as_answer()
        except Exception as internal_error:  # a broken call must not end the connection's thread
            _LOGGER.exception("the sandbox failed on a call of %s", method)
            return refused_call(method, f"internal error: {internal_error!r}", 104).as_answer()


def _json_response(answer_value: Any) -> Response:
    try:
        return Response(msgspec.json.encode(answer_value))
    except UnicodeEncodeError:  # a lone surrogate, which real sites send escaped
        return Response(json.dumps(msgspec.to_builtins(answer_value)).encode())


def _refused_key_response(script_name: str) -> Response:
    return _json_response(unknown_script(script_name).as_answer())


def _api_error_response(fault: Fault) -> Response:
    message, code = str(fault.options["message"]), int(fault.options["code"])
    return _json_response(RefusedCallError(message, code).as_answer())


_REPLACEMENT_ANSWERS: Final[dict[str, Callable[[Fault, str], Response]]] = {
    "status": lambda fault, _: Response(
        _MAINTENANCE_PAGE, int(fault.options["status"]), HTML_CONTENT
    ),
    "html": lambda _fault, _: Response(_MAINTENANCE_PAGE, content_type=HTML_CONTENT),
    "garbage": lambda _fault, _: Response(b'{"results": {"entities": [{"id": 1,, }]\x00'),
    "outage": lambda _fault, _: Response(failure_mode="drop"),
    "drop": lambda _fault, _: Response(failure_mode="drop"),
    "reset": lambda _fault, _: Response(failure_mode="reset"),
    "silent": lambda _fault, _: Response(failure_mode="silent"),
    "refused-key": lambda _fault, script_name: _refused_key_response(script_name),
    "api-error": lambda fault, _: _api_error_response(fault),
}
"""Kind of fault -> the answer given instead of carrying out the call."""
