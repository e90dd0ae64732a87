"""Keeping secrets out of everything that is kept or shown: logs, failures, alerts."""

from __future__ import annotations

import base64
import html
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote

from sgevents_core.settings import SecretTexts, Settings, secrets_in

SHOWN: Final = "***"
SHORTEST: Final = 4
"""The shortest secret, in characters: shorter texts occur in every sentence."""
_SHORTEST_ENCODED: Final = 8
"""The shortest secret searched for in Base64: a shorter one might match anything."""


class Redactor:
    """A filter for secrets in texts, also in the forms of Python, JSON, HTML, URLs, hex and Base64.

    Redact before shortening a text: half a secret is not recognised.

    Args:
        secrets: The texts that must not be shown.
        learned: More secrets, which may grow: models of plugins' settings are loaded later.
    """

    __slots__ = ("_known", "_learned", "_written")

    def __init__(self, secrets: Iterable[str] = (), learned: SecretTexts | None = None) -> None:
        self._known = frozenset(secrets)
        self._learned = SecretTexts() if learned is None else learned
        self._written: tuple[int, list[str]] = (-1, [])

    @classmethod
    def of(cls, settings: Settings) -> Redactor:
        """Return a redactor that knows a configuration's secrets, and those found in it later."""
        return cls(secrets_of(settings), settings.learned_secrets)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets, and without anything that UTF-8 cannot hold."""
        for written in self._forms():
            if written in text:
                text = text.replace(written, SHOWN)
        return text.encode("utf-8", "replace").decode("utf-8")

    def in_value(self, value: Any) -> Any:
        """Return a JSON value without the secrets in its texts; other values are unchanged.

        In the encoded JSON, a secret made of digits would also match part of a number.
        """
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(name)): self.in_value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.in_value(inner) for inner in value]
        is_plain = value is None or isinstance(value, bool | int | float)
        return value if is_plain else self(str(value))

    def _forms(self) -> list[str]:
        """Return every form of every secret, the longest first; recomputed when they grow."""
        count, written = self._written
        if count != len(self._learned):
            count = len(self._learned)
            secrets = {*self._known, *self._learned}
            forms = {form for secret in secrets for form in _forms_of(secret)}
            written = sorted(forms, key=len, reverse=True)
            self._written = (count, written)
        return written


def _forms_of(secret: str) -> Iterator[str]:
    """Yield a secret as it is written in texts, URLs, dumps of bytes and headers."""
    if len(secret) < SHORTEST:
        return
    raw = secret.encode("utf-8", "surrogateescape" if _is_escaped(secret) else "replace")
    yield from _as_text(secret, raw)
    for address in (quote(raw, ""), quote(raw, "/"), quote_plus(raw)):
        yield from (address, _lower_escapes(address), quote(address, ""))
    yield from (raw.hex(), raw.hex().upper())
    for written in {raw, json.dumps(secret)[1:-1].encode()}:
        yield from _in_base64(written)


def _as_text(secret: str, raw: bytes) -> Iterator[str]:
    """Yield a secret as it is written in code, JSON, nested JSON, markup and shell lines."""
    yield from (secret, repr(secret)[1:-1], ascii(secret)[1:-1], repr(raw)[2:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False), shlex.quote(secret))
    for once in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (once, json.dumps(once)[1:-1])


def _is_escaped(text: str) -> bool:
    """Return whether a text holds bytes that are not UTF-8, as `os.environ` represents them."""
    return any("\udc80" <= char <= "\udcff" for char in text)


def _lower_escapes(address: str) -> str:
    """Return a URL with `%2f` for `%2F`, as some programs write it."""
    first, *others = address.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield the part of a secret's Base64 that does not depend on its surroundings.

    Three bytes become four characters, so a secret begins at one of three places of a group:

        bytes       |  a  b  c  |  d  e  f  |
        characters  | 0  1  2  3| 4  5  6  7|

    The characters at both ends also depend on neighbours, such as the user before a password, and
    are left out; what is left is found behind any user.
    """
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw)
        # The characters that share bits with the bytes before, and with those after or padding.
        begin = (0, 2, 3)[shift]
        end = len(encoded) - (0, 3, 2)[(shift + len(raw)) % 3]
        sure = encoded[begin:end].decode()
        if len(sure) >= _SHORTEST_ENCODED:
            yield from (sure, sure.replace("+", "-").replace("/", "_"))


def secrets_of(settings: Settings) -> list[str]:
    """Return all secrets that a configuration holds, those in plugins' own settings included."""
    tables = settings.plugins.values()
    held: list[Any] = [settings.site.api_key, *(table.api_key for table in tables)]
    held += [table.settings for table in tables]
    texts = [one.reveal() for one in secrets_in(held) if one.is_there]
    return [*texts, *_passwords_of(settings.site.http_proxy or "")]


def _passwords_of(proxy: str) -> Iterator[str]:
    """Yield the password of `user:password@host:port`, as written and as it is sent."""
    user, at, _ = proxy.rpartition("@")
    scheme, sep, rest = user.partition("://")
    password = (rest if sep else scheme).partition(":")[2]
    if at and password:
        yield from {password, unquote(password)}
