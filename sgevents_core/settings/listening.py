"""Addresses: where a part of sgevents listens, and from where it is called."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.listen_address import ListenAddress
from sgevents_core.settings.spelling import describe, toml_string
from sgevents_core.settings.value_kinds import ValueKind


def parse_listen_address(text: str) -> ListenAddress | None:
    """Return the address in `host:port`; None if it is not one."""
    address_match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})", text)
    if address_match is None or int(address_match[2]) > 65535:
        return None
    return ListenAddress(address_match[1].strip("[]"), int(address_match[2]))


def _read_listen_address(raw_value: object, context: ReadingContext) -> ListenAddress:
    fix = f"write it like {context.assignment(toml_string('127.0.0.1:8090'))}"
    if not isinstance(raw_value, str):
        raise InvalidValueError(f"expected host:port, got {describe(raw_value)}", fix)
    address = parse_listen_address(raw_value)
    if address is None:
        raise InvalidValueError(f"{toml_string(raw_value)} is not host:port", fix)
    return address


def _read_network(raw_value: object, context: ReadingContext) -> IPv4Network | IPv6Network:
    fix = 'write an address or a network, such as "10.1.2.3" or "10.1.0.0/16"'
    if not isinstance(raw_value, str):
        raise InvalidValueError(f"expected an address, got {describe(raw_value)}", fix)
    try:
        return ip_network(raw_value)
    except ValueError:
        message = f"{toml_string(raw_value)} is not an address or a network"
        raise InvalidValueError(message, fix) from None


ListenSetting: TypeAlias = Annotated[
    ListenAddress,
    ValueKind(
        _read_listen_address,
        {"type": "string", "pattern": "^.+:[0-9]+$"},
        '"127.0.0.1:8090"',
        "host:port",
        to_toml=str,
    ),
]
NetworkSetting: TypeAlias = Annotated[
    IPv4Network | IPv6Network,
    ValueKind(_read_network, {"type": "string"}, '"10.1.2.3"', to_toml=str),
]
