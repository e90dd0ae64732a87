"""The callers of the sandbox site: scripts with their keys, and people with a password."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from sgevents_core.sandbox.records import SCRIPT_VERSION_FIELD, EntityRef, Records
from sgevents_core.sandbox.refused_calls import (
    AUTHENTICATION_ERROR,
    RefusedCallError,
    unknown_script,
)
from sgevents_core.scripts import LOGS, NAME


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """The caller of a call.

    Args:
        user_ref: The user of the events that the call causes.
        script_name: The script's name, for rows hidden from it; None for a person.
        session_uuid: The session that the client sends for its events, if any.
        actual_user_ref: The script that acts as `user_ref` with sudo, if any.
        requires_project: Whether a record that needs a project is refused without one, as it is
            over HTTP but not from Python.
    """

    user_ref: EntityRef | None
    script_name: str | None = None
    session_uuid: str | None = None
    actual_user_ref: EntityRef | None = None
    requires_project: bool = True


class KnownCallers:
    """The scripts and people that the site knows. Keys are compared, never shown."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._script_keys: dict[str, str] = {}
        self._passwords_by_login: dict[str, str] = {}
        self._script_refs: dict[str, EntityRef] = {}
        self._session_callers: dict[str, ApiCaller] = {}

    def add_script(
        self,
        script_name: str,
        script_key: str,
        script_version: str = "1.0",
        *,
        logs_events: bool = True,
    ) -> EntityRef:
        """Let a script call the site; a second call with its name changes its key."""
        if script_name not in self._script_refs:
            script_values = {
                NAME: script_name,
                SCRIPT_VERSION_FIELD: script_version,
                LOGS: logs_events,
                "description": "a script of the sandbox",
            }
            self._script_refs[script_name] = self._records.add("ApiUser", script_values).ref
        self._script_keys[script_name] = script_key
        return self._script_refs[script_name]

    def revoke_script(self, script_name: str) -> None:
        """Refuse a script from now on, as if its key had changed or it had been retired."""
        self._script_keys.pop(script_name, None)

    def add_password(self, login: str, password: str) -> None:
        """Let a person of the site log in with a password."""
        self._passwords_by_login[login] = password

    def script_caller(self, script_name: str) -> ApiCaller:
        """Return the caller for a script.

        Raises:
            KeyError: The site does not know the script.
        """
        return ApiCaller(self._script_refs[script_name], script_name)

    def authenticate(self, credentials: dict[str, Any]) -> ApiCaller:
        """Return the caller named by the authentication parameters of a call.

        Raises:
            RefusedCallError: The name is unknown, or the key or password is wrong.
        """
        caller = self._identify_caller(credentials)
        session_uuid = credentials.get("session_uuid")
        sudo_login = credentials.get("sudo_as_login")
        if not sudo_login:
            return ApiCaller(caller.user_ref, caller.script_name, session_uuid)
        if caller.script_name is None:
            raise RefusedCallError(f"The user does not have permission to 'sudo': {sudo_login}")
        user_ref = self._sudo_user(sudo_login)
        return ApiCaller(user_ref, caller.script_name, session_uuid, caller.user_ref)

    def _identify_caller(self, credentials: dict[str, Any]) -> ApiCaller:
        if "session_token" in credentials:
            return self._session_caller(credentials["session_token"])
        if "user_login" in credentials:
            return self._authenticate_person(credentials)
        return self._authenticate_script(credentials)

    def _session_caller(self, token: object) -> ApiCaller:
        caller = self._session_callers.get(token) if isinstance(token, str) else None
        if caller is None:
            raise RefusedCallError(
                "Can't authenticate with that session token", AUTHENTICATION_ERROR
            )
        return caller

    def begin_session(self, caller: ApiCaller) -> str:
        """Return a token that represents a caller until the site ends."""
        token = secrets.token_hex(16)
        self._session_callers[token] = ApiCaller(caller.user_ref, caller.script_name)
        return token

    def _authenticate_script(self, credentials: dict[str, Any]) -> ApiCaller:
        script_name = credentials.get("script_name")
        secret = self._script_keys.get(script_name) if isinstance(script_name, str) else None
        if secret is None or not _is_same_secret(secret, credentials.get("script_key")):
            raise unknown_script(script_name)
        return self.script_caller(str(script_name))

    def _authenticate_person(self, credentials: dict[str, Any]) -> ApiCaller:
        login = str(credentials.get("user_login"))
        user_ref = self.find_person(login)
        secret = self._passwords_by_login.get(login) or self._password_proxy(user_ref)
        if (
            secret is None
            or user_ref is None
            or not _is_same_secret(secret, credentials.get("user_password"))
        ):
            raise RefusedCallError(f"Can't authenticate user '{login}'.", AUTHENTICATION_ERROR)
        return ApiCaller(user_ref)

    def _password_proxy(self, user_ref: EntityRef | None) -> str | None:
        """Return the password stored in a person's record."""
        record = self._records.live(user_ref)
        return record.values.get("password_proxy") if record else None

    def _sudo_user(self, login: str) -> EntityRef:
        user_ref = self.find_person(login)
        if user_ref is None:
            raise RefusedCallError(
                f"Cannot 'sudo' - unknown or retired user: '{login}'", AUTHENTICATION_ERROR
            )
        return user_ref

    def find_person(self, login: str) -> EntityRef | None:
        """Return the HumanUser with a login, or None."""
        for record in self._records.of_type("HumanUser"):
            if record.values.get("login") == login:
                return record.ref
        return None


def _is_same_secret(secret: str, given_secret: object) -> bool:
    return isinstance(given_secret, str) and hmac.compare_digest(
        secret.encode(), given_secret.encode()
    )
