"""Keep secrets out of everything that is stored or shown: logs, failures, alerts."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote

from sgevents_core.settings import SecretTexts, Settings, secrets_in

REPLACEMENT: Final = "***"
SHORTEST_SECRET: Final = 4
"""The shortest secret, in characters: shorter texts occur in every sentence."""
_SHORTEST_ENCODED: Final = 8
"""The shortest secret searched for in Base64: a shorter one might match anything."""


_SHORTEST_TOKEN: Final = 8
"""The shortest part of an address of an alert that is taken for a token."""


class Redactor:
    """A filter for secrets in texts, also as written in Python, JSON, HTML, URLs, hex and Base64.

    Redact before shortening a text: half a secret is not recognised.

    Args:
        secrets: The secrets, as texts.
        learned_secrets: More secrets, which may grow: models of plugins' settings are loaded later.
    """

    __slots__ = ("_form_cache", "_known_secrets", "_learned_secrets")

    def __init__(
        self, secrets: Iterable[str] = (), learned_secrets: SecretTexts | None = None
    ) -> None:
        self._known_secrets = frozenset(secrets)
        self._learned_secrets = SecretTexts() if learned_secrets is None else learned_secrets
        self._form_cache: tuple[int, list[str]] = (-1, [])

    @classmethod
    def of(cls, settings: Settings) -> Redactor:
        """Return a redactor that knows a configuration's secrets, and those found in it later."""
        return cls(secrets_of(settings), settings.learned_secrets)

    def __call__(self, plain_text: str) -> str:
        """Return the text without the secrets, and without characters that UTF-8 cannot encode."""
        for written_form in self._written_forms():
            if written_form in plain_text:
                plain_text = plain_text.replace(written_form, REPLACEMENT)
        return plain_text.encode("utf-8", "replace").decode("utf-8")

    def in_value(self, value: Any) -> Any:
        """Return a JSON value without the secrets in its texts; other values are unchanged.

        In the encoded JSON, a secret made of digits would also match part of a number.
        """
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self(str(key_name)): self.in_value(inner) for key_name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.in_value(inner) for inner in value]
        is_plain = value is None or isinstance(value, bool | int | float)
        return value if is_plain else self(str(value))

    def _written_forms(self) -> list[str]:
        """Return every form of every secret, the longest first; recomputed when they grow."""
        secret_count, written_forms = self._form_cache
        if secret_count != len(self._learned_secrets):
            secret_count = len(self._learned_secrets)
            secrets = {*self._known_secrets, *self._learned_secrets}
            forms = {written_form for secret in secrets for written_form in _forms_of(secret)}
            written_forms = sorted(forms, key=len, reverse=True)
            self._form_cache = (secret_count, written_forms)
        return written_forms


def _forms_of(secret: str) -> Iterator[str]:
    """Yield a secret as it is written in texts, URLs, dumps of bytes and headers."""
    if len(secret) < SHORTEST_SECRET:
        return
    secret_bytes = secret.encode("utf-8", "surrogateescape" if _is_escaped(secret) else "replace")
    yield from _as_text(secret, secret_bytes)
    for url_form in (quote(secret_bytes, ""), quote(secret_bytes, "/"), quote_plus(secret_bytes)):
        yield from (url_form, _lower_escapes(url_form), quote(url_form, ""))
    yield from (secret_bytes.hex(), secret_bytes.hex().upper())
    for written_bytes in {secret_bytes, json.dumps(secret)[1:-1].encode()}:
        yield from _in_base64(written_bytes)


def _as_text(secret: str, secret_bytes: bytes) -> Iterator[str]:
    """Yield a secret as it is written in code, JSON, nested JSON, markup and shell lines."""
    yield from (secret, repr(secret)[1:-1], ascii(secret)[1:-1], repr(secret_bytes)[2:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False), shlex.quote(secret))
    for json_form in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (json_form, json.dumps(json_form)[1:-1])


def _is_escaped(plain_text: str) -> bool:
    """Return whether a text holds bytes that are not UTF-8, as `os.environ` represents them."""
    return any("\udc80" <= character <= "\udcff" for character in plain_text)


def _lower_escapes(url_form: str) -> str:
    """Return a URL with `%2f` for `%2F`, as some programs write it."""
    first_piece, *other_pieces = url_form.split("%")
    return "%".join(
        [
            first_piece,
            *(escaped_piece[:2].lower() + escaped_piece[2:] for escaped_piece in other_pieces),
        ]
    )


def _in_base64(secret_bytes: bytes) -> Iterator[str]:
    """Yield the part of a secret's Base64 that does not depend on its surroundings.

    Three bytes become four characters, so a secret begins at one of three places of a group:

        bytes       |  a  b  c  |  d  e  f  |
        characters  | 0  1  2  3| 4  5  6  7|

    The characters at both ends also depend on neighbours, such as the user before a password, and
    are left out; the middle part is the same behind any user.
    """
    for shift in range(3):
        encoded_text = base64.b64encode(bytes(shift) + secret_bytes)
        # The characters that share bits with the bytes before, and with those after or padding.
        first_stable = (0, 2, 3)[shift]
        last_stable = len(encoded_text) - (0, 3, 2)[(shift + len(secret_bytes)) % 3]
        stable_part = encoded_text[first_stable:last_stable].decode()
        if len(stable_part) >= _SHORTEST_ENCODED:
            yield from (stable_part, stable_part.replace("+", "-").replace("/", "_"))


def secrets_of(settings: Settings) -> list[str]:
    """Return all secrets that a configuration holds, those in plugins' own settings included."""
    plugin_tables = settings.plugins.values()
    secret_holders: list[Any] = [settings.site.api_key, *(table.api_key for table in plugin_tables)]
    secret_holders += [table.settings for table in plugin_tables]
    secret_holders.append(settings.state.password)
    if settings.smtp is not None:
        secret_holders.append(settings.smtp.password)
    if settings.console_access is not None:
        secret_holders.append(settings.console_access.users)
    secret_texts = [secret.reveal() for secret in secrets_in(secret_holders) if secret.is_there]
    webhook_secret = settings.console.webhook_secret
    if webhook_secret is not None and webhook_secret.is_there:
        secret_texts.append(webhook_secret.reveal())
    addresses = [secret for table in settings.alerts for secret in (*table.urls, table.heartbeat)]
    for address in addresses:
        if address is not None and address.is_there:
            secret_texts += _secrets_of_address(address.reveal())
    return [*secret_texts, *_passwords_of(settings.site.http_proxy or "")]


def _secrets_of_address(address: str) -> Iterator[str]:
    """Yield an address of an alert, and each part of it that may be a token or a password."""
    yield address
    _, _, rest = address.partition("://")
    before_host, _, _ = rest.rpartition("@")
    user, _, password = before_host.partition(":")
    parts = re.split(r"[/?&=,;@]", rest.removeprefix(f"{before_host}@") if before_host else rest)
    tokens = [*re.split(r"[/:]", user), *parts]
    for token in [password, *(one for one in tokens if _may_be_token(one))]:
        yield from {token, unquote(token)}


def _may_be_token(part: str) -> bool:
    """Return whether a part of an address is not just the name of a host or an option."""
    is_host = re.fullmatch(r"\[?[\w.:-]*[.:][\w.:-]*\]?", part) or part == "localhost"
    return len(part) >= _SHORTEST_TOKEN and not is_host


def _passwords_of(proxy_address: str) -> Iterator[str]:
    """Yield the password of `user:password@host:port`, as written and as it is sent."""
    user_part, at_sign, _ = proxy_address.rpartition("@")
    scheme, scheme_separator, user_and_password = user_part.partition("://")
    password = (user_and_password if scheme_separator else scheme).partition(":")[2]
    if at_sign and password:
        yield from {password, unquote(password)}
