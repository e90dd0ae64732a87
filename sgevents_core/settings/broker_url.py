"""The address of the NATS servers in `[state] url`, as the file spells it and as parts."""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple, TypeAlias

from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.spelling import describe, toml_string
from sgevents_core.settings.value_kinds import ValueKind

DEFAULT_BROKER_PORT: Final = 4222
_SERVER: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(:(?P<port>\d{1,5}))?")
_EXAMPLE: Final = "nats://HOST:4222"


class BrokerUrl(NamedTuple):
    """The servers of one NATS cluster; any of them may be asked."""

    servers: tuple[str, ...]
    """Each as `host:port`."""
    is_encrypted: bool
    """Whether only an encrypted connection will do."""

    def __str__(self) -> str:
        scheme = "tls" if self.is_encrypted else "nats"
        return f"{scheme}://{','.join(self.servers)}"


def read_broker_url(raw_value: object, context: ReadingContext) -> BrokerUrl:
    """Return the servers that a value of the configuration names."""
    fix = f"write {context.assignment(toml_string(_EXAMPLE))}"
    if not isinstance(raw_value, str) or not raw_value.strip():
        raise InvalidValueError(f"expected the address of a server, got {describe(raw_value)}", fix)
    scheme, separator, server_list = raw_value.strip().partition("://")
    if not separator:
        raise InvalidValueError("the address has no scheme", fix)
    if scheme not in {"nats", "tls"}:
        message = f"the scheme {toml_string(scheme)} is not one that is supported here"
        raise InvalidValueError(message, "write nats://, or tls:// for an encrypted connection")
    if "@" in server_list:
        message = "the address holds a user or a password"
        raise InvalidValueError(message, "leave it out, and write user and password in [state]")
    servers = tuple(_read_server(server, fix) for server in server_list.rstrip("/").split(","))
    if len(set(servers)) < len(servers):
        raise InvalidValueError("the address names a server twice", "name each server once")
    return BrokerUrl(servers, is_encrypted=scheme == "tls")


def _read_server(server_text: str, fix: str) -> str:
    match = _SERVER.fullmatch(server_text.strip())
    port_number = int(match["port"] or DEFAULT_BROKER_PORT) if match else 0
    if match is None or not 0 < port_number < 65536:
        message = f"{toml_string(server_text)} is not a server, HOST or HOST:PORT"
        raise InvalidValueError(message, fix)
    return f"{match['host']}:{port_number}"


BrokerSetting: TypeAlias = Annotated[
    BrokerUrl,
    ValueKind(
        read_broker_url,
        {"type": "string", "pattern": "^(nats|tls)://[^@]+$"},
        f'"{_EXAMPLE}"',
        to_toml=str,
    ),
]
