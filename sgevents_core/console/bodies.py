"""The bodies of calls: read in a bounded time up to a bounded size, and taken apart."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from sgevents_core.console.page import LARGEST_FORM
from sgevents_core.console.problems import BadQuery, FormTooLarge, FormTooSlow

FORM_SECONDS: Final = 30.0
"""Seconds in which the whole body of a form has to arrive."""


async def read_body(request: HttpRequest) -> bytes:
    """Return the body of a call.

    Raises:
        FormTooLarge: It has more bytes than any form.
        FormTooSlow: It does not arrive in time, or its sender has gone.
    """
    try:
        call_body = await asyncio.wait_for(read_at_most(request, LARGEST_FORM), FORM_SECONDS)
    except (ClientDisconnect, asyncio.TimeoutError):
        raise FormTooSlow("The form did not arrive.") from None
    if call_body is None:
        raise FormTooLarge(f"A form has at most {LARGEST_FORM:,} bytes.")
    return call_body


async def read_at_most(request: HttpRequest, largest: int) -> bytes | None:
    """Return the body of a call; None, without reading it all, if it has more bytes."""
    announced_length = request.headers.get("content-length", "")
    if announced_length.isdecimal() and (
        len(announced_length) > len(str(largest)) or int(announced_length) > largest
    ):
        return None
    received_body = bytearray()
    async for body_portion in request.stream():
        received_body += body_portion
        if len(received_body) > largest:
            return None
    return bytes(received_body)


def parse_form(body: bytes) -> dict[str, Any]:
    """Return the fields of a form: a text each, or a list of those that come several times.

    Raises:
        BadQuery: It is not a form.
    """
    try:
        values_by_field = parse_qs(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=20_000
        )
    except ValueError:  # also UnicodeDecodeError
        raise BadQuery("The form cannot be read.") from None
    return {
        field_name: field_values[0] if len(field_values) == 1 else field_values
        for field_name, field_values in values_by_field.items()
    }
