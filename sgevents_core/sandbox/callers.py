"""Who may call the sandbox site: scripts with their keys, and people with a password."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from sgevents_core.sandbox.records import VERSION, Records, Ref
from sgevents_core.sandbox.refusal import AUTHENTICATION, RefusedCallError
from sgevents_core.scripts import LOGS, NAME


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The caller of a call.

    Args:
        user: The user of the events that the call causes.
        script: The script's name, for rows hidden from it; None for a person.
        session_uuid: The mark that the client sends for its events, if any.
        actual_user: Who acts as `user`, if a script uses sudo.
        insists: Whether a record that needs a project is refused without one; not so from Python.
    """

    user: Ref | None
    script: str | None = None
    session_uuid: str | None = None
    actual_user: Ref | None = None
    insists: bool = True


class Callers:
    """The scripts and people that the site knows. Keys are compared, never shown."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._keys: dict[str, str] = {}
        self._passwords: dict[str, str] = {}
        self._scripts: dict[str, Ref] = {}
        self._sessions: dict[str, SignedIn] = {}

    def add_script(self, name: str, key: str, version: str = "1.0", *, logs: bool = True) -> Ref:
        """Let a script call the site; a second call with its name changes its key."""
        if name not in self._scripts:
            values = {
                NAME: name,
                VERSION: version,
                LOGS: logs,
                "description": "a script of the sandbox",
            }
            self._scripts[name] = self._records.add("ApiUser", values).ref
        self._keys[name] = key
        return self._scripts[name]

    def revoke(self, name: str) -> None:
        """Refuse a script from now on, as if its key had changed or it had been retired."""
        self._keys.pop(name, None)

    def add_password(self, login: str, password: str) -> None:
        """Let a person of the site log in with a password."""
        self._passwords[login] = password

    def script(self, name: str) -> SignedIn:
        """Return the caller for a script.

        Raises:
            KeyError: The site does not know the script.
        """
        return SignedIn(self._scripts[name], name)

    def authenticated(self, auth: dict[str, Any]) -> SignedIn:
        """Return the caller that the authentication parameters of a call name.

        Raises:
            RefusedCallError: Name and key do not belong together.
        """
        caller = self._whoever(auth)
        session = auth.get("session_uuid")
        user, actual = caller.user, None
        if auth.get("sudo_as_login"):
            if caller.script is None:
                raise RefusedCallError(
                    f"The user does not have permission to 'sudo': {auth['sudo_as_login']}"
                )
            user, actual = self._sudo(auth["sudo_as_login"]), caller.user
        return SignedIn(user, caller.script, session, actual)

    def _whoever(self, auth: dict[str, Any]) -> SignedIn:
        if "session_token" in auth:
            return self._session(auth["session_token"])
        return self._person(auth) if "user_login" in auth else self._script(auth)

    def _session(self, token: object) -> SignedIn:
        caller = self._sessions.get(token) if isinstance(token, str) else None
        if caller is None:
            raise RefusedCallError("Can't authenticate with that session token", AUTHENTICATION)
        return caller

    def begin_session(self, caller: SignedIn) -> str:
        """Return a token that represents a caller until the site ends."""
        token = secrets.token_hex(16)
        self._sessions[token] = SignedIn(caller.user, caller.script)
        return token

    def _script(self, auth: dict[str, Any]) -> SignedIn:
        name = auth.get("script_name")
        known = self._keys.get(name) if isinstance(name, str) else None
        if known is None or not _same(known, auth.get("script_key")):
            raise RefusedCallError(f"Can't authenticate script '{name}'", AUTHENTICATION)
        return self.script(str(name))

    def _person(self, auth: dict[str, Any]) -> SignedIn:
        login = str(auth.get("user_login"))
        user = self.person(login)
        known = self._passwords.get(login) or self._proxy(user)
        if known is None or user is None or not _same(known, auth.get("user_password")):
            raise RefusedCallError(f"Can't authenticate user '{login}'.", AUTHENTICATION)
        return SignedIn(user)

    def _proxy(self, user: Ref | None) -> str | None:
        """Return the password stored in a person's record."""
        record = self._records.live(user)
        return record.values.get("password_proxy") if record else None

    def _sudo(self, login: str) -> Ref:
        user = self.person(login)
        if user is None:
            raise RefusedCallError(
                f"Cannot 'sudo' - unknown or retired user: '{login}'", AUTHENTICATION
            )
        return user

    def person(self, login: str) -> Ref | None:
        """Return the HumanUser with a login, or None."""
        for record in self._records.of_type("HumanUser"):
            if record.values.get("login") == login:
                return record.ref
        return None


def _same(known: str, given: object) -> bool:
    return isinstance(given, str) and hmac.compare_digest(known.encode(), given.encode())
