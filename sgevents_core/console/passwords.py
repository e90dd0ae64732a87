"""Passwords of users, as argon2 hashes; the library chooses the parameters."""

from __future__ import annotations

from functools import cache
from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER: Final = PasswordHasher()


def hash_password(password: str) -> str:
    """Return the hash of a password, for the configuration."""
    return _HASHER.hash(password)


def is_hash(text: str) -> bool:
    """Return whether a text is a hash of a password."""
    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True


def is_password(password: str, password_hash: str | None) -> bool:
    """Return whether a password is the one of a hash; takes as long for None, and is false."""
    try:
        _HASHER.verify(password_hash or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _nobodys_hash() -> str:
    """Return a hash to compare with where there is no such user."""
    return _HASHER.hash("nobody's password")
