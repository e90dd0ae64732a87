"""The ways into a console: open, with a token, with a user's password, or through a proxy."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal, Protocol, TypeAlias

from starlette.requests import Request as HttpRequest

from sgevents_core.console.page import Role
from sgevents_core.console.passwords import is_password

SignInForm: TypeAlias = Literal["none", "token", "password"]
LONGEST_NAME: Final = 200
"""The most characters in a person's name."""
Network: TypeAlias = IPv4Network | IPv6Network


class WayIn(Protocol):
    """How people prove who they are."""

    @property
    def sign_in_form(self) -> SignInForm:
        """What a person fills in to sign in; `none` if there is no sign-in."""

    def name_of(self, request: HttpRequest) -> str | None:
        """Return the person that a call itself proves; None if it proves nobody."""

    def role_of(self, person_name: str) -> Role | None:
        """Return a person's role; None for a person who may not come in (any more)."""

    def proof_mark(self, person_name: str) -> str:
        """Return what changes with a person's proof; a session with another mark is over."""

    def check(self, person_name: str, proof: str) -> str | None:
        """Return the name of the person who gave a proof; None if the proof is wrong."""


def bearer_token(request: HttpRequest) -> str | None:
    """Return the bearer token of a call, which only programs send; None if it has none."""
    auth_scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if auth_scheme.lower() == "bearer" else None


class OpenWay:
    """Everybody who can connect is let in, as an operator; for loopback alone.

    Args:
        person_name: The name that requests are recorded under.
    """

    sign_in_form: SignInForm = "none"

    def __init__(self, person_name: str) -> None:
        self._person_name = person_name

    def name_of(self, request: HttpRequest) -> str | None:
        """Return the one name."""
        return self._person_name

    def role_of(self, person_name: str) -> Role | None:
        """Return a person's role."""
        return "operator" if person_name == self._person_name else None

    def proof_mark(self, person_name: str) -> str:
        """Return what changes with the proof."""
        return "open"

    def check(self, person_name: str, proof: str) -> str | None:
        """Return whose proof it is."""
        return self._person_name


class TokenWay:
    """Whoever has the token that was shown at the start is let in, as an operator.

    Args:
        person_name: The name that requests are recorded under.
        token: The token.
    """

    sign_in_form: SignInForm = "token"

    def __init__(self, person_name: str, token: str) -> None:
        self._person_name = person_name
        self._token = token

    def name_of(self, request: HttpRequest) -> str | None:
        """Return the one name for a bearer token."""
        token = bearer_token(request)
        return None if token is None else self.check("", token)

    def role_of(self, person_name: str) -> Role | None:
        """Return a person's role."""
        return "operator" if person_name == self._person_name else None

    def proof_mark(self, person_name: str) -> str:
        """Return what changes with the proof."""
        return "token"

    def check(self, person_name: str, proof: str) -> str | None:
        """Return whose proof it is."""
        is_right = hmac.compare_digest(proof.encode(), self._token.encode())
        return self._person_name if is_right else None


class UserWay:
    """Users with passwords.

    Args:
        password_hashes: User -> hash of the password.
        operators: The users who may change something.
    """

    sign_in_form: SignInForm = "password"

    def __init__(self, password_hashes: Mapping[str, str], operators: Sequence[str]) -> None:
        self._password_hashes = password_hashes
        self._operators = frozenset(operators)

    def name_of(self, request: HttpRequest) -> str | None:
        """Return None: people sign in."""
        return None

    def role_of(self, person_name: str) -> Role | None:
        """Return a person's role."""
        if person_name not in self._password_hashes:
            return None
        return "operator" if person_name in self._operators else "viewer"

    def proof_mark(self, person_name: str) -> str:
        """Return what changes with the proof."""
        return hashlib.sha256(self._password_hashes.get(person_name, "").encode()).hexdigest()[:16]

    def check(self, person_name: str, proof: str) -> str | None:
        """Return whose proof it is."""
        return person_name if is_password(proof, self._password_hashes.get(person_name)) else None


class ProxyWay:
    """A proxy in front says in a header who calls; any other peer is refused.

    Args:
        header: The header with the person's name.
        networks: The addresses of the proxy: of the socket's peer, never of a forwarded header.
        operators: The people who may change something.
    """

    sign_in_form: SignInForm = "none"

    def __init__(self, header: str, networks: Sequence[Network], operators: Sequence[str]) -> None:
        self._name_header = header
        self._proxy_networks = networks
        self._operators = frozenset(operators)

    def name_of(self, request: HttpRequest) -> str | None:
        """Return whom the proxy's header names."""
        if request.client is None or not self._is_proxy(request.client.host):
            return None
        header_values = request.headers.getlist(self._name_header)
        return _person_name(header_values[0]) if len(header_values) == 1 else None

    def _is_proxy(self, peer: str) -> bool:
        try:
            peer_address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(peer_address, IPv6Address) and peer_address.ipv4_mapped is not None:
            peer_address = peer_address.ipv4_mapped  # of a socket that listens for both kinds
        return any(peer_address in network for network in self._proxy_networks)

    def role_of(self, person_name: str) -> Role | None:
        """Return a person's role."""
        return "operator" if person_name in self._operators else "viewer"

    def proof_mark(self, person_name: str) -> str:
        """Return what changes with the proof."""
        return "proxy"

    def check(self, person_name: str, proof: str) -> str | None:
        """Return None: nobody signs in."""
        return None


def _person_name(header_value: str) -> str | None:
    """Return the name in a header, which may be UTF-8; None if it cannot be a person's name."""
    try:
        person_name = header_value.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        person_name = header_value.strip()
    is_name = person_name.isprintable() and 0 < len(person_name) <= LONGEST_NAME
    return person_name if is_name else None
