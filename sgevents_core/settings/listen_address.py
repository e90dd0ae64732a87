"""The address that a part of the program listens on: a host of this machine and a port."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, NamedTuple, TypeAlias

from sgevents_core.settings.diagnostics import InvalidValueError, ReadingContext
from sgevents_core.settings.spelling import describe, toml_string
from sgevents_core.settings.value_kinds import ValueKind

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/@]*)):(?P<port>[0-9]+)"
)
_EXAMPLE: Final = "127.0.0.1:9108"
LOOPBACK_NAME: Final = "localhost"


class ListenAddress(NamedTuple):
    """An address to listen on.

    Args:
        host: A name or an IP address of this machine, without brackets.
        port: The port; 0 for one that is free.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == LOOPBACK_NAME

    def __str__(self) -> str:
        """Return it as the configuration spells it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_listen_address(raw_value: object, context: ReadingContext) -> ListenAddress:
    """Return an address given as `host:port`, or `[host]:port` for IPv6.

    Raises:
        InvalidValueError: It is not one.
    """
    fix = f"write {context.assignment(toml_string(_better_address(raw_value)))}"
    if not isinstance(raw_value, str):
        raise InvalidValueError(f"expected an address, got {describe(raw_value)}", fix)
    address_match = _ADDRESS.fullmatch(raw_value)
    if address_match is None:
        message = f"{toml_string(raw_value)} is not an address with a port"
        raise InvalidValueError(message, fix)
    host_name, port_number = address_match["six"] or address_match["host"], address_match["port"]
    if not host_name:
        raise InvalidValueError("the address names no host", fix)
    if len(port_number) > 5 or int(port_number) > 65535:
        raise InvalidValueError(f"there is no port {port_number[:20]}", "the highest is 65535")
    if address_match["six"] and not _is_ip_address(host_name):
        raise InvalidValueError(f"{toml_string(host_name)} is not an IP address", fix)
    return ListenAddress(host_name, int(port_number))


def _is_ip_address(host_name: str) -> bool:
    try:
        ipaddress.ip_address(host_name)
    except ValueError:
        return False
    return True


def _better_address(raw_value: object) -> str:
    """Suggest the address that was probably meant; on loopback where no host is given."""
    plain_text = str(raw_value).strip()
    port_match = re.fullmatch(r":?([0-9]{1,5})", plain_text)
    if port_match:
        return f"127.0.0.1:{port_match[1]}"
    without_scheme = re.sub(r"^https?://|/.*$", "", plain_text)
    if without_scheme != plain_text and _ADDRESS.fullmatch(without_scheme):
        return without_scheme
    if without_scheme and _is_ip_address(without_scheme):
        return str(ListenAddress(without_scheme, 9108))
    return _EXAMPLE


ListenSetting: TypeAlias = Annotated[
    ListenAddress,
    ValueKind(
        read_listen_address,
        {"type": "string", "pattern": "^[^\\s/]+:[0-9]{1,5}$"},
        f'"{_EXAMPLE}"',
        "an address",
        to_toml=str,
    ),
]
"""An address to listen on, as `host:port`."""
