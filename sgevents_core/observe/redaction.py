"""Keeps secrets out of everything that is kept or shown: logs, failures, alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from sgevents_core.settings import Secret, Settings

SHOWN: Final = "***"
SHORTEST: Final = 4
"""Shorter texts are no secrets, and words of every sentence."""


class Redactor:
    """Replaces secrets in texts, also as Python, JSON and addresses write them.

    Args:
        secrets: The texts that must not be shown.
    """

    __slots__ = ("_written",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        written = {
            form
            for secret in secrets
            if len(secret) >= SHORTEST
            for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, ""))
        }
        self._written = sorted(written, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets, and with nothing in it that UTF-8 cannot hold."""
        for written in self._written:
            if written in text:
                text = text.replace(written, SHOWN)
        return text.encode("utf-8", "replace").decode("utf-8")


def secrets_of(settings: Settings) -> list[str]:
    """Return all secrets that a configuration holds, those in plugins' own settings included."""
    tables = settings.plugins.values()
    held = [settings.site.api_key, *(table.api_key for table in tables)]
    found = [text for value in held for text in _secrets_in(value)]
    found += [text for table in tables for text in _secrets_in(table.settings)]
    proxy = settings.site.http_proxy or ""
    return [*found, *_password_of(proxy)]


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        if value.is_there:
            yield value.reveal()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets_in(inner)


def _password_of(proxy: str) -> Iterator[str]:
    user, at, _ = proxy.rpartition("@")
    password = user.rpartition("//")[2].partition(":")[2]
    if at and password:
        yield password
