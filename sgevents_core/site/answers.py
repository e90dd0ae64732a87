"""Tell valid answers of the API from others: HTML, truncated JSON, an answer to another call.

Pure: takes the call and the body of the HTTP response, and returns the answer or raises an error
that says what is wrong with it. The stock client returns an unreadable answer as if it were a
value, so a write can be lost silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

JsonDecoder = Callable[[bytes], Any]
SecretRemover = Callable[[str], str]

MOST_VALUES: Final = 2_000_000
"""The most values in an answer: each takes far more memory than its text."""
UNWRAPPED_METHODS: Final = frozenset({"info", "user_subscriptions_create"})
"""Methods whose answers may come without `results` around them."""
PLAIN_TEXT_METHODS: Final = frozenset({"export_page"})
"""Methods whose answers are text that need not be JSON."""
_RESULT_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "delete": bool,
    "revive": bool,
    "followers": list,
    "following": list,
    "note_thread_contents": list,
    "activity_stream": dict,
    "query_display_name_cache": dict,
    "schema_read": dict,
    "schema_entity_read": dict,
    "schema_field_read": dict,
    "preferences_read": dict,
    "get_session_token": dict,
}
"""Method -> the type of its results."""
_HTML_START: Final = re.compile(rb"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_HTML_TAG: Final = re.compile(r"<[^<>]{0,300}>")
_EXCERPT_SOURCE_LENGTH: Final = 2_000
_EXCERPT_LENGTH: Final = 200


class NotAnAnswerError(Exception):
    """The body of an HTTP answer does not answer the question; the text says why."""


class TooLargeError(NotAnAnswerError):
    """An answer is larger than the limit."""


def too_large(most_bytes: int) -> TooLargeError:
    """Return the error for an answer that exceeds a number of bytes."""
    return TooLargeError(f"it is larger than {most_bytes / 1024**2:g} MiB")


def answer_in(
    body: bytes | str,
    method: str,
    call_params: Any,
    decode_json: JsonDecoder,
    remove_secrets: SecretRemover = str,
) -> Any:
    """Return the site's answer, checked as far as the form of the method's answers is known.

    Args:
        body: The body, decompressed, whatever its content type.
        method: The method of the API that was called.
        call_params: The parameters of the call.
        decode_json: Decodes JSON.
        remove_secrets: Removes secrets from a text.

    Raises:
        NotAnAnswerError: The body does not answer this call; a TooLargeError if it has too many
            values.
    """
    body_bytes = body.encode() if isinstance(body, str) else body
    if not body_bytes.strip():
        raise NotAnAnswerError("it is empty")
    if len(body_bytes) > MOST_VALUES and body_bytes.count(b",") > MOST_VALUES:
        raise TooLargeError(f"it has more than {MOST_VALUES:,} values")
    try:
        answer = decode_json(body_bytes)
    except (ValueError, RecursionError):
        if method in PLAIN_TEXT_METHODS and not _HTML_START.match(body_bytes):
            return body_bytes.decode(errors="replace")
        raise NotAnAnswerError(
            f"not JSON as the API has it, but {excerpt(body_bytes, remove_secrets)!r}"
        ) from None
    if not isinstance(answer, dict):
        raise NotAnAnswerError(
            f"not JSON as the API has it, but {excerpt(body_bytes, remove_secrets)!r}"
        )
    if answer.get("exception") is not True:  # a refusal by the API
        _check_results(answer, method, call_params)
    return answer


def excerpt(answer_bytes: bytes, remove_secrets: SecretRemover = str) -> str:
    """Return the beginning of an unexpected answer as one short line for people, without HTML tags.

    Args:
        answer_bytes: The answer.
        remove_secrets: Removes secrets from a text before it is shortened.
    """
    decoded_text = remove_secrets(
        answer_bytes[: 2 * _EXCERPT_SOURCE_LENGTH].decode(errors="replace")
    )[:_EXCERPT_SOURCE_LENGTH]
    first_line = " ".join(_HTML_TAG.sub(" ", decoded_text).split())
    printable = "".join(character if character.isprintable() else "?" for character in first_line)
    return f"{printable[:_EXCERPT_LENGTH]}..." if len(printable) > _EXCERPT_LENGTH else printable


def _check_results(answer: Mapping[str, Any], method: str, call_params: Any) -> None:
    """Check that an answer has the form that the method is known to return."""
    if "results" not in answer and method not in UNWRAPPED_METHODS:
        raise NotAnAnswerError(f"it has no results, but {_key_names(answer)}")
    results = answer.get("results", answer)
    check_result = _RESULT_CHECKS.get(method)
    if check_result is not None:
        check_result(results, call_params)
    elif not isinstance(results, _RESULT_TYPES.get(method, object)):
        raise NotAnAnswerError(f"its results are {_short_repr(results)}")


def _check_info(results: Any, _params: Any) -> None:
    if not isinstance(results, dict) or not isinstance(results.get("version"), list):
        raise NotAnAnswerError("it lacks the site's version")


def _check_read(results: Any, call_params: Any) -> None:
    entities = results.get("entities") if isinstance(results, dict) else None
    if not isinstance(entities, list):
        raise NotAnAnswerError("the answer has no rows")
    asked_parameters = call_params if isinstance(call_params, dict) else {}
    for parameter_name, paging_key in (
        ("return_paging_info", "entity_count"),
        ("return_paging_info_without_counts", "has_next_page"),
    ):
        paging_info = results.get("paging_info")
        if asked_parameters.get(parameter_name) and not (
            isinstance(paging_info, dict) and paging_key in paging_info
        ):
            raise NotAnAnswerError("the answer does not say whether there are more rows")


def _check_summarize(results: Any, _params: Any) -> None:
    if not isinstance(results, dict) or "summaries" not in results:
        raise NotAnAnswerError("the answer has no summaries")


def _check_create(results: Any, _params: Any) -> None:
    written_record = results[0] if isinstance(results, list) and results else results
    _check_record(written_record)


def _check_update(results: Any, call_params: Any) -> None:
    written_record = results[0] if isinstance(results, list) and results else results
    _check_record(written_record)
    asked_id = call_params.get("id") if isinstance(call_params, dict) else None
    if asked_id is not None and written_record["id"] != asked_id:
        raise NotAnAnswerError(
            f"it is about {written_record['id']!r}, and {asked_id!r} was requested"
        )


def _check_record(written_record: Any) -> None:
    if not isinstance(written_record, dict) or type(written_record.get("id")) is not int:
        raise NotAnAnswerError(
            f"not the record that was written, but {_short_repr(written_record)}"
        )


def _check_batch(results: Any, call_params: Any) -> None:
    batch_calls = call_params if isinstance(call_params, list) else []
    if not isinstance(results, list) or len(results) != len(batch_calls):
        raise NotAnAnswerError(f"not one result for each of {len(batch_calls)} requests")
    for batch_call, batch_result in zip(batch_calls, results, strict=True):
        if batch_call.get("request_type") == "delete":
            if not isinstance(batch_result, bool):
                raise NotAnAnswerError(f"its result for a deletion is {_short_repr(batch_result)}")
        elif batch_call.get("request_type") == "update":
            _check_update(batch_result, batch_call)
        else:
            _check_record(batch_result)


_RESULT_CHECKS: Final[Mapping[str, Callable[[Any, Any], None]]] = {
    "info": _check_info,
    "read": _check_read,
    "summarize": _check_summarize,
    "create": _check_create,
    "update": _check_update,
    "batch": _check_batch,
}
"""Method -> the check of its results."""


def _short_repr(value: Any) -> str:
    return excerpt(repr(value)[:_EXCERPT_SOURCE_LENGTH].encode(errors="replace"))


def _key_names(answer: Mapping[str, Any]) -> str:
    return excerpt(", ".join(map(str, list(answer)[:10])).encode(errors="replace")) or "nothing"
