"""Keys and credentials of NATS as its tool `nsc` makes them: an operator, an account, a user."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import nkeys


def new_key(kind: int) -> nkeys.KeyPair:
    """Make a key of a kind, such as `nkeys.PREFIX_BYTE_USER`."""
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def public(key: nkeys.KeyPair) -> str:
    """A key's public part."""
    return bytes(key.public_key).decode()


def signed_claims(claims: dict[str, Any], issuer: nkeys.KeyPair) -> str:
    """A JWT of NATS."""
    claims = {"iat": 1700000000, "iss": public(issuer), **claims}
    claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode()
    parts = [
        _encode(json.dumps(part).encode())
        for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)
    ]
    signature = issuer.sign(".".join(parts).encode())
    return ".".join([*parts, _encode(signature)])


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def make_credentials(credentials_file: Path) -> str:
    """Write the credentials of a user, and return the server's configuration that knows it."""
    operator = new_key(nkeys.PREFIX_BYTE_OPERATOR)
    account = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
    user = new_key(nkeys.PREFIX_BYTE_USER)
    system = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
    unlimited = {"subs": -1, "data": -1, "payload": -1}
    limits = {**unlimited, "imports": -1, "exports": -1, "conn": -1, "leaf": -1, "wildcards": True}
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}

    def account_claims(key: nkeys.KeyPair, name: str, more: dict[str, int]) -> str:
        nats = {"limits": {**limits, **more}, "type": "account", "version": 2}
        return signed_claims({"sub": public(key), "name": name, "nats": nats}, operator)

    nats = {"type": "operator", "version": 2, "system_account": public(system)}
    operator_claims = signed_claims({"sub": public(operator), "name": "O", "nats": nats}, operator)
    nats = {"type": "user", "version": 2, "pub": {}, "sub": {}, **unlimited}
    user_claims = signed_claims({"sub": public(user), "name": "U", "nats": nats}, account)
    seed = bytes(user.seed).decode()
    credentials_file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_claims}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    return (
        f"operator: {operator_claims}\nsystem_account: {public(system)}\nresolver: MEMORY\n"
        f"resolver_preload: {{\n{public(account)}: {account_claims(account, 'A', storage)}\n"
        f"{public(system)}: {account_claims(system, 'SYS', {})}\n}}"
    )
