"""Networks from which a part of the program is called."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, TypeAlias

from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.spelling import describe, toml_string
from sgevents_core.settings.value_kinds import ValueKind


def _read_network(raw_value: object, context: ReadingContext) -> IPv4Network | IPv6Network:
    fix = 'write an address or a network, such as "10.1.2.3" or "10.1.0.0/16"'
    if not isinstance(raw_value, str):
        raise InvalidValueError(f"expected an address, got {describe(raw_value)}", fix)
    try:
        return ip_network(raw_value)
    except ValueError:
        message = f"{toml_string(raw_value)} is not an address or a network"
        raise InvalidValueError(message, fix) from None


NetworkSetting: TypeAlias = Annotated[
    IPv4Network | IPv6Network,
    ValueKind(_read_network, {"type": "string"}, '"10.1.2.3"', to_toml=str),
]
